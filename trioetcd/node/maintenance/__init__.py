"""What keeps a member in shape: its quota, its engine's compaction, hashes, snapshots for operators, downgrades."""
