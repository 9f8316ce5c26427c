"""Users, roles and permissions: the replicated half of auth, and the one function that decides who may do what."""
