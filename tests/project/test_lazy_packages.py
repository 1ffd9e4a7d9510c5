"""Packages that import their parts late offer all that they name, and nothing else."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

LAZY = (
    *("duplicates", "embedding", "evaluation", "geo", "ingest", "mapping", "model", "pairs", "pretraining"),
    *("quantization", "registry", "reporting", "training"),
)


@pytest.mark.parametrize("name", LAZY)
def test_every_name_of_a_package_is_there(name: str) -> None:
    package = importlib.import_module(f"siamese.{name}")
    missing = [one for one in package.__all__ if not hasattr(package, one)]
    assert not missing
    with pytest.raises(AttributeError, match=f"module 'siamese.{name}' has no attribute 'nonsense'"):
        _ = package.nonsense


def test_stages_and_flows_are_declared_without_anything_heavy() -> None:
    heavy = "{'torch', 'mlflow', 'rasterio', 'cv2', 'scipy', 'pandas'}"
    code = f"import sys, siamese.stages; print({heavy} & sys.modules.keys())"
    assert _said(code) == "set()"
    code = f"import sys, flows.retrain, flows.damage_map, flows.train, flows.index; print({heavy} & sys.modules.keys())"
    assert _said(code) == "set()"


def _said(code: str) -> str:
    # Flows are no installed package: they are found where Prefect's worker runs, in the project's folder.
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    return done.stdout.strip()
