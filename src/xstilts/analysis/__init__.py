"""From result rows to an answer. Loads no model."""
