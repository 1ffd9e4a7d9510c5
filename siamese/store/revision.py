"""Which code made a thing: a hash of what a stage reaches, and the git revision."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_PACKAGE = "siamese"
_CARRIERS = tuple(f"{_PACKAGE}.{name}" for name in ("store", "params", "errors", "progress", "settings", "manifests"))
"""Modules that carry bytes and settings but make nothing: a change in them makes no result stale."""


@lru_cache
def code_version(module: str) -> str:
    """A hash of all code that a stage can reach inside this project.

    Comments, docstrings and layout do not count; the modules that merely carry bytes do not either.

    Args:
        module: The stage's package, e.g. ``"siamese.pairs"``.

    Returns:
        12 hexadecimal digits.
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
        tree = ast.parse(path.read_bytes())
        seen[name] = _bare(tree)
        todo.extend(_imports(tree))
        if path.name == "__init__.py" and name != _PACKAGE:
            todo.extend(f"{name}.{part.stem}" for part in path.parent.glob("*.py") if part.stem != "__init__")
    whole = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


@lru_cache
def git_revision() -> str:
    """The checkout's commit, with ``+`` when it has changes; ``unversioned`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603
                ["git", "-C", str(root), *words],  # noqa: S607
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
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.startswith(f"{_PACKAGE}."))
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == _PACKAGE:
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def _bare(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        match node:
            case ast.Module(body=body) | ast.FunctionDef(body=body) | ast.ClassDef(body=body) if (
                body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
            ):
                node.body = body[1:]
    return ast.dump(tree)
