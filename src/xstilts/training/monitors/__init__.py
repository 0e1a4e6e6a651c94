"""What watches a stage while it trains."""
