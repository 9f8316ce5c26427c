"""An etcd-compatible cluster member and its client, as Trio programs."""

__version__ = "0.1.0"
