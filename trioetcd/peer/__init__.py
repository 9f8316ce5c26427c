"""Member to member: framing, streams, the pipeline, snapshots, probing, and the peer listener."""
