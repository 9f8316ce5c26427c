"""Durable state: the write-ahead log, snapshots, the engine, and what is kept in it. Synchronous; no trio here."""
