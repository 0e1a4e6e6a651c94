"""Figures of a report: each an SVG, the numbers that it draws, and one sentence that says how to read it."""
