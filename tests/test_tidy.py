"""The source checks itself: sizes, docstrings, calls that are their owners' alone, words that no file should hold."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "trioetcd"

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70


class Ban(NamedTuple):
    """A name that modules of the package do not use, but for those that own it. A trailing dot stands for all below."""

    name: str
    reason: str
    owners: tuple[str, ...] = ()


# The file system of the machine, and what LevelDB, which writes past it, has to have synced for it.
DISK = ("storage/filesystem.py", "storage/leveldb_log.py")
LIVE_FILES = "storage/live_files.py"  # looks at LevelDB's files, and writes none

# Clock, chance, threads, files and sockets are given to the parts, so that the whole tree runs in a simulation.
# (The time of day in http11 is the default of the Date field, which decides nothing.)
BANS = (
    Ban("time.", "clocks are passed in", owners=("cli/production.py", "http11/responses.py")),
    Ban("datetime.datetime.now", "the wall clock is passed in", owners=("log.py",)),
    Ban("datetime.datetime.utcnow", "the wall clock is passed in"),
    Ban("datetime.date.today", "the wall clock is passed in"),
    Ban("random.", "chance is passed in as a Random", owners=("cli/production.py", "client/client.py", "testing/")),
    Ban("os.urandom", "chance is passed in as a Random"),
    Ban("secrets.", "chance is passed in as a Random"),
    Ban("uuid.", "chance is passed in as a Random"),
    Ban("trio.to_thread.", "blocking work is passed in", owners=("cli/production.py",)),
    Ban("threading.", "there is one thread, and Trio has it"),
    Ban("asyncio.", "there is one loop, and it is Trio's"),
    Ban("open", "files are opened by the file system that is passed in"),
    Ban("os.open", "files are opened by the file system that is passed in", owners=(*DISK, LIVE_FILES, "log.py")),
    Ban("os.environ", "the environment is read once, by the command", owners=("cli/serve.py",)),
    Ban("os.getenv", "the environment is read once, by the command"),
    Ban("os.fsync", "syncs belong to the file system", owners=DISK),
    Ban("os.fdatasync", "syncs belong to the file system", owners=DISK),
    Ban("trio.open_tcp_listeners", "the network is passed in", owners=("node/network.py",)),
    Ban("trio.open_tcp_stream", "the network is passed in", owners=("peer/dialer.py", "client/")),
    Ban("print", "what happens is logged"),
    Ban("pickle.", "what comes from the network or the disk is never executed"),
)

# `Random` as a type, and `Random(seed)`, are how chance is passed in.
ALLOWED = frozenset({"random.Random"})

# Built from parts, so that this file does not hold what it looks for.
FORBIDDEN_TEXT = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![\w.])/(?:work|root|home|Users)" + r"/\w",
        "pypi" + r"\.org",
        "files\\.python" + "hosted",
        "registry\\.npm" + "js",
        "proxy\\.go" + "lang",
        "(?:extra-)?index" + "-url",
    )
)


class Module(NamedTuple):
    """A source file and what it says."""

    path: Path
    text: str
    tree: ast.Module

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


def test_no_file_is_longer_than_it_may_be() -> None:
    long = {str(module): lines for module in sources() if (lines := len(module.text.splitlines())) > FILE_LINES_MAX}
    assert long == {}, f"a file of more than {FILE_LINES_MAX} lines has a second idea in it: split it"


def test_no_function_is_longer_than_it_may_be() -> None:
    long = {
        f"{module}:{function.lineno} {function.name}": lines
        for module in sources()
        for function in functions(module.tree)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}, f"a function of more than {FUNCTION_LINES_MAX} lines has a second idea in it: split it"


def test_every_module_of_the_package_says_what_it_is() -> None:
    silent = [str(module) for module in package() if not ast.get_docstring(module.tree)]
    assert silent == []


def test_what_has_an_owner_is_used_by_nobody_else() -> None:
    found = [
        f"{module}:{line} uses {name}: {ban.reason}"
        for module in package()
        for name, line in uses(module.tree)
        for ban in BANS
        if _matches(name, ban) and not _owns(module, ban)
    ]
    assert found == []


def test_every_owner_uses_what_it_owns() -> None:
    """A row that nobody needs any more is deleted."""
    used = {(str(module), name) for module in package() for name, _ in uses(module.tree)}
    idle = [
        f"{owner} does not use {ban.name}"
        for ban in BANS
        for owner in ban.owners
        if not owner.endswith("/")
        and not any(path == f"trioetcd/{owner}" and _matches(name, ban) for path, name in used)
    ]
    assert idle == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked_files()
        for number, line in enumerate(_text(path).splitlines(), start=1)
        if any(pattern.search(line) for pattern in FORBIDDEN_TEXT)
    ]
    assert found == []


def test_the_scanner_sees_through_imports_and_past_annotations() -> None:
    code = """
import time as clock
import os.path
from os import urandom
from random import Random
def f(a: clock.struct_time, b: Random) -> clock.struct_time:
    clock.sleep(1); urandom(4); open("x"); os.fsync(3); self.open(); b.time(); Random(1); Random()
"""
    banned = {name for name, _ in uses(ast.parse(code)) for ban in BANS if _matches(name, ban)}
    assert banned == {"time.sleep", "os.urandom", "open", "os.fsync", "random.Random()"}


@cache
def sources() -> list[Module]:
    """Every Python file of the package, the tests and the benchmarks."""
    return [
        _module(path) for folder in ("trioetcd", "tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def package() -> list[Module]:
    """Every module of the package."""
    return [module for module in sources() if module.path.is_relative_to(PACKAGE)]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, however deep."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def uses(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The full dotted names of what a module's code refers to, and the lines; `name()` for a call without arguments.

    Annotations are types, and so no use.
    """
    imported = _imported_names(tree)
    for node in _code(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield _full_name(node, imported), node.lineno
        elif isinstance(node, ast.Call) and not node.args and not node.keywords:
            yield f"{_full_name(node.func, imported)}()", node.lineno


def tracked_files() -> list[Path]:
    """What git tracks; outside of a clone, what lies about."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = [name for name in listing.stdout.split("\0") if name]
    return [path for name in names if (path := ROOT / name).is_file()] or [module.path for module in sources()]


def _module(path: Path) -> Module:
    text = path.read_text()
    return Module(path, text, ast.parse(text))


def _matches(name: str, ban: Ban) -> bool:
    if name in ALLOWED:
        return False
    return name.startswith(ban.name) if ban.name.endswith(".") else name == ban.name


def _owns(module: Module, ban: Ban) -> bool:
    path = module.path.relative_to(PACKAGE).as_posix()
    return any(path.startswith(owner) if owner.endswith("/") else path == owner for owner in ban.owners)


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those of annotations."""
    yield node
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _code(child)


def _full_name(node: ast.expr, imported: dict[str, str]) -> str:
    head, separator, rest = _dotted(node).partition(".")
    return imported.get(head, head) + separator + rest


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of such an expression; "" before what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""
