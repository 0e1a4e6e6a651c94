"""What goes out of a run and comes into one: stages to and from `transformers`, predictions for a leaderboard."""
