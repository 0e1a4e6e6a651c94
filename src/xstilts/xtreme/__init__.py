"""XTREME's submission layout, written, read and scored as its script scores."""
