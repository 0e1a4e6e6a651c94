"""Recipes and DeepSpeed files: typed, strict, explained by their own field docs."""
