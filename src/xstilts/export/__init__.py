"""What is taken away from a run: a stage as a folder of `transformers`, predictions as an archive for a leaderboard."""
