"""A recipe as a graph of stages, each computed once."""
