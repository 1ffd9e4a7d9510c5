"""Provenance of a result: code, git revision, libraries, machine. Recorded, but not part of its identity."""

from __future__ import annotations

import ast
import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from siamese.store.stored import Stored
from siamese.versions import library_versions

_PACKAGE = "siamese"
_ROOT = Path(__file__).resolve().parents[2]
_CARRIERS = tuple(f"{_PACKAGE}.{name}" for name in ("store", "params", "errors", "progress", "settings", "manifests"))
"""Modules that carry bytes and settings but make nothing: a change in them makes no result stale."""


_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Surroundings(Stored):
    """Code, libraries and machine that a stage ran on."""

    python: str
    libraries: dict[str, str] = Field(description="Versions of the libraries that decide results.")
    machine: str = Field(description="Operating system and processor.")

    @classmethod
    def here(cls) -> Surroundings:
        """Returns the surroundings of this process."""
        return _surroundings()


@lru_cache
def _surroundings() -> Surroundings:
    machine = f"{platform.system()} {platform.machine()}, {_processor()}"
    libraries = library_versions()
    return Surroundings(python=libraries.pop("python"), libraries=libraries, machine=machine)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or "unknown processor"


@lru_cache
def code_version(module: str) -> str:
    """Returns a hash of all code of this project that a package can reach; 12 hexadecimal digits.

    Comments, docstrings and layout do not count, nor do modules that merely move bytes. The same code gives the same
    hash on every version of Python.

    Args:
        module: The stage's package, e.g. ``"siamese.pairs"``.
    """
    seen: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen or name.startswith(_CARRIERS):
            continue
        path = _source(name)
        if path is None:
            continue
        found = _module(path)
        seen[name] = found.bare
        todo.extend(found.imports)
        if path.name == "__init__.py" and name != _PACKAGE:
            todo.extend(f"{name}.{part.stem}" for part in path.parent.glob("*.py") if part.stem != "__init__")
    whole = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


@lru_cache
def git_revision() -> str:
    """Returns the checkout's commit, with ``+`` when it has changes; ``unversioned`` outside a checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603
                ["git", "-C", str(_ROOT), *words],  # noqa: S607
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    if commit is None:
        return "unversioned"
    return commit + ("+" if git("status", "--porcelain", "--", _PACKAGE, "flows") else "")


def _source(module: str) -> Path | None:
    """Finds the file of a module, in this project or elsewhere on the path, without importing anything."""
    parts = module.split(".")
    for root in (_ROOT, *map(Path, sys.path)):
        package, file = root.joinpath(*parts, "__init__.py"), root.joinpath(*parts).with_suffix(".py")
        if found := next((path for path in (package, file) if path.is_file()), None):
            return found
        if parts[0] == _PACKAGE:
            return None
    return None


class _Module(NamedTuple):
    bare: str
    imports: tuple[str, ...]


@cache
def _module(path: Path) -> _Module:
    """Reads a module without running it."""
    parts: list[str] = []
    imports: list[str] = []
    _read(ast.parse(path.read_bytes()), parts, imports)
    return _Module("".join(parts), tuple(imports))


def _read(node: object, parts: list[str], imports: list[str]) -> None:
    """Appends a syntax tree as text, without docstrings and the empty fields in which Python versions differ."""
    if isinstance(node, ast.AST):
        imports.extend(_imported(node))
        parts.append(f"({type(node).__name__}")
        for name in node._fields:
            if name in ("ctx", "kind"):
                continue
            value = getattr(node, name, None)
            if name == "body" and isinstance(node, _DOCUMENTED):
                value = _without_docstring(node.body)
            if value is None or value == []:
                continue
            parts.append(f" {name}=")
            _read(value, parts, imports)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            _read(item, parts, imports)
        parts.append("]")
    else:
        parts.append(repr(node))


def _imported(node: ast.AST) -> Iterator[str]:
    """Yields the modules of this project that a statement imports, or may: a name may be a module's."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith(f"{_PACKAGE}."))
    elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == _PACKAGE:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    spoken = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if spoken else body
