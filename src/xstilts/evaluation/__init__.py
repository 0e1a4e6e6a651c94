"""From trained stages to predictions, scores and result rows."""
