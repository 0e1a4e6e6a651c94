"""From examples to packed micro-batches. Knows no model."""
