"""The least design of which a verdict is given; below it an effect is shown with its interval, and no more is said.

The reasons are in `benchmarks/calibration.md`.
"""

from __future__ import annotations

MIN_SEEDS = 5
MIN_SEEDS_OF_SPREAD = 6
"""Of either arm: the median of five seeds takes so much of their spread that the detectable ratio is too large."""
MIN_LANGUAGES = 4
"""Languages, or families where languages come in families, for languages like these."""
MIN_TASKS = 5
MIN_PERMUTATIONS = 40
"""Fewer cannot reach p = 0.05 on both sides."""
