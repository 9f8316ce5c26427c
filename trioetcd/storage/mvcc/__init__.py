"""Multi-version storage: every change of a key is kept under its revision until it is compacted."""
