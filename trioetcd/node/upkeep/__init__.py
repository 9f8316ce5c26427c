"""Background work that keeps a member healthy."""
