"""Runs data-driven transcripts against the core: commands above `----`, what they print below.

The command language is that of the transcripts of `etcd-io/raft` (interaction, confchange and quorum tests).

    python -m tests.raft.traces PATH...            compare; the last line is `N passed, N failed`
    python -m tests.raft.traces --rewrite PATH...  write what the core prints into the transcripts
"""
