"""Who asks: tokens, passwords, and the table of what each RPC needs. What is replicated of auth is `storage.auth`."""
