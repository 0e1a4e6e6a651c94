"""One module per dataset family; each registers its tasks when imported."""
