"""Simulated disks, networks and clusters in one process: for this project's tests and for those of its users.

cluster         MemoryCluster: whole members on simulated machines; begin here
simulation      simulate: run a function on a clock that jumps, with a seeded scheduler
member          MemoryMember: one member of a cluster, to start, stop and kill
network, disk   what lies between and under members, and the faults they have
engines         the database on a simulated disk
watch_recorder  watchers that are recorded, and what really happened
watch_checks    what a watch promises, as checks of such records
"""
