"""Simulated disks, networks and clusters in one process: for this project's tests and for those of its users."""
