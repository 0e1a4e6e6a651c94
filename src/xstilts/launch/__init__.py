"""Starting a run on many hosts and ending it in order: the supervisor, its failure detector and what they start."""
