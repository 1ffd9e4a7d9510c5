"""Packages that import their parts when these are first asked for: PyTorch, MLflow and GDAL each load for seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazily(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """Returns the ``__getattr__`` of a package (PEP 562) that imports a name's module on first access.

    The package imports the same names under ``TYPE_CHECKING``, where type checkers and :mod:`siamese.store.provenance`
    find them.

    Args:
        package: Its ``__name__``.
        modules: Names to import, by module.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    return get
