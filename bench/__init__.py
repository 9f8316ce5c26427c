"""Benchmarks that run trioetcd beside a real etcd: the same machine, the same requests, the same run."""
