"""The process group of a run, and the signs of life that its ranks give."""
