"""A simulator of the consensus core alone: an event loop, faults of every kind, every rule checked at each step.

    python -m tests.raft.simulate --seeds 2000

    world.py     one run: the loop, the members, the chaos and then the healing
    faults.py    what goes wrong in a run, how often: drawn anew by every seed
    actors.py    who makes it happen: crashes, partitions, clients, operators
    network.py   messages that are lost, doubled, delayed, reordered, cut off
    disk.py      what is written, what is durable, what a crash leaves
    node.py      a member: the core and the driver that does what each Ready says
    checks.py    the rules, and what is remembered to check them after every step
    bugs.py      planted bugs, to see that the rules catch them

A run is a function of its seed: every concern draws from its own `Random`, and time is a number.
"""
