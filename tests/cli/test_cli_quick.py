"""What the command line answers at once: versions, help, and inputs that it refuses; nothing heavy is loaded for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from siamese.store import ObjectStore

HEAVY = ("torch", "openvino", "prefect", "mlflow", "timm", "rasterio", "cv2", "scipy", "pandas")
SCRIPT = """
import contextlib, io, json, sys
from siamese.cli.app import main
answers = []
for words in json.loads(sys.argv[1]):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    heavy = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    answers.append([code or 0, out.getvalue(), " ".join(err.getvalue().split()), heavy])
print(json.dumps(answers))
"""
GOOD = ["--help", "--version", *(f"{verb} --help" for verb in ("ingest", "map", "train", "register", "up"))]
IMAGERY = "map --pre {folder}/a.png --post {folder}/a.png --out {folder}"
REFUSED = {
    "nonsense": "No such command",
    "train --params {folder}/none.yaml": "none.yaml: cannot be read",
    "train --set training.epochs=x": "training.epochs",
    "train --set training.nonsense=1": "unknown key",
    "train": "no pair-set has been published yet",
    "train --pairs 0123456789abcdef": "no pair-set has been published",
    "pretrain --pairs 0123456789abcdef": "no pair-set has been published",
    "pretrain --method none": "pretraining.method",
    "pairs --catalog 0123456789abcdef": "no catalog has been published",
    "evaluate --scenes {folder}/none": "no such folder or file",
    "evaluate --set evaluation.nonsense=1": "unknown key",
    "quantize --set quantization.nonsense=1": "unknown key",
    "register --checkpoint 0123456789abcdef": "has been published",
    "promote --set promotion.minimum_gain=x": "promotion.minimum_gain",
    "rollback --set promotion.nonsense=1": "unknown key",
    "ingest nonsense": "not an S3 address",
    f"{IMAGERY} --set mapping.nonsense=1": "unknown key",
    f"{IMAGERY} --disaster-type none": "no such disaster type",
    f"{IMAGERY} --pre {{folder}}/none.tif": "none.tif: there is no such file or folder",
    f"{IMAGERY} --pre {{folder}}/scenes.zip": "scenes.zip: is an archive, not an image — unpack it",
    f"{IMAGERY} --post s3://raw/in/scenes.tar.gz": "is an archive, not an image",
    "demo --data {folder}/none": "no such folder",
}


@pytest.fixture(scope="module")
def root() -> Path:
    return Path(__file__).parents[2]


def answers(commands: list[str], root: Path, environment: dict[str, str]) -> list[tuple[int, str, str, list[str]]]:
    words = json.dumps([command.split() for command in commands])
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, words, json.dumps(HEAVY)],
        cwd=root, env=environment, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return [tuple(answer) for answer in json.loads(ran.stdout)]


def test_what_is_refused_is_refused_before_anything_heavy_is_loaded(
    store: ObjectStore, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "scenes.zip").touch()
    places = {
        f"SIAMESE_{use.upper()}_BUCKET": getattr(store.settings, f"{use}_bucket") for use in ("raw", "lake", "maps")
    }
    environment = os.environ | places | {"COLUMNS": "200"}
    commands = [command.format(folder=tmp_path) for command in REFUSED]
    for command, answer, said in zip(REFUSED, answers(commands, root, environment), REFUSED.values(), strict=True):
        code, _, error, heavy = answer
        assert code, command
        assert said in error, command
        assert not heavy, command


def test_help_and_version_load_nothing_heavy(root: Path) -> None:
    for command, (code, out, _, heavy) in zip(GOOD, answers(GOOD, root, dict(os.environ)), strict=True):
        assert code == 0, command
        assert out, command
        assert not heavy, command


def test_the_version_names_all_that_decides_results(root: Path) -> None:
    ((_, out, _, _),) = answers(["--version"], root, dict(os.environ))
    first, *lines = out.splitlines()
    assert re.fullmatch(rf"siamese {re.escape(version('siamese'))}, revision ([0-9a-f]{{40}}\+?|unversioned)", first)
    found = dict(line.split() for line in lines)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["torch"] == version("torch")
    assert {"openvino", "timm", "numpy", "opencv-python-headless", "rasterio", "gdal"} <= set(found)
