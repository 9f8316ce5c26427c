"""The live tree of tasks: what runs in this process, under what, and where each task waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import orjson
import trio


class TaskLine(NamedTuple):
    """One task: how deep it is in the tree, its name, and the line it waits at."""

    depth: int
    name: str
    waits_at: str


def task_lines() -> Iterator[TaskLine]:
    """Every task, each below the one whose nursery it is in. To be called in the loop."""
    root = trio.lowlevel.current_root_task()
    assert root is not None, "there is a root task wherever a task runs"
    yield from _lines(root, 0)


def render(*, as_json: bool) -> bytes:
    """The tree, to be read by a person or by a program."""
    if as_json:
        return orjson.dumps([line._asdict() for line in task_lines()])
    return "".join(f"{'  ' * depth}{name}  ({waits_at})\n" for depth, name, waits_at in task_lines()).encode()


def _lines(task: trio.lowlevel.Task, depth: int) -> Iterator[TaskLine]:
    yield TaskLine(depth, task.name, _innermost_line(task))
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda one: one.name):
            yield from _lines(child, depth + 1)


def _innermost_line(task: trio.lowlevel.Task) -> str:
    """Where in our own code the task is: the last frame before those of Trio."""
    place = "running"
    for frame, line in task.iter_await_frames():
        module = frame.f_globals.get("__name__", "?")
        if module.startswith("trio."):
            break
        place = f"{module}:{line}"
    return place
