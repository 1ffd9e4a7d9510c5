"""The examples run as they are, and each writes its picture."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from siamese.store import ObjectStore

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "common")


@pytest.fixture(autouse=True)
def offline(no_mlflow: None, one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub is asked for weights, and nothing is tracked."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_writes_its_picture(
    name: str, store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    importlib.import_module(name).main(store, tmp_path)
    told = capsys.readouterr().out
    pictures = sorted(tmp_path.glob("*.png"))
    assert pictures
    assert all(cv2.imread(str(path)).std() > 5 for path in pictures)
    assert all(f"picture: {path}" in told for path in pictures)


def test_an_example_starts_from_the_command_line_with_storage_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "product_search.py"), "--out", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert (tmp_path / "product_search.png").is_file()
