"""`similarity`: how near the intermediate tasks of a run are to the languages and targets that it scores."""
