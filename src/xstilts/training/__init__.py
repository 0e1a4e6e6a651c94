"""One stage of training under DeepSpeed. Knows no study and no metric."""
