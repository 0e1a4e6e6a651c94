"""The XLM-R encoder over packed rows, and one head per task."""
