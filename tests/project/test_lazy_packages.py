"""Packages that import their parts late offer all that they name, and nothing else."""

from __future__ import annotations

import importlib

import pytest

LAZY = ("embedding", "geo", "mapping", "model", "registry", "training")


@pytest.mark.parametrize("name", LAZY)
def test_every_name_of_a_package_is_there(name: str) -> None:
    package = importlib.import_module(f"siamese.{name}")
    missing = [one for one in package.__all__ if not hasattr(package, one)]
    assert not missing
    with pytest.raises(AttributeError, match=f"module 'siamese.{name}' has no attribute 'nonsense'"):
        _ = package.nonsense
