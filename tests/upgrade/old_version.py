"""Fills buckets with everything that an older version of siamese makes, by its own command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
PARAMS = {
    "sample": {"scenes": 8, "seed": 3},
    "pairs": {"val_share": 0.2, "test_share": 0.2},
    "network": {
        "encoder": "test_efficientnet",
        "pretrained": False,
        "decoder_channels": [8, 8],
        "localization_channels": [8, 8],
    },
    "training": {"epochs": 1, "crop_px": 256, "batch": 4, "validation_scenes": 1},
    "pretraining": {"epochs": 1, "batch": 8, "crop_px": 64},
    "quantization": {"scenes": 1},
    "evaluation": {"resamples": 10},
    "promotion": {"minimum_gain": 0.0},
}

_RUN = """
import json, sys
from siamese.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{words}: {ended.code}")
"""


def checkout(revision: str, folder: Path) -> bool:
    """Writes a revision's package into a folder; false where the checkout's history does not reach back to it."""
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", revision, "siamese"], capture_output=True, check=False
    )
    if archive.returncode:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return True


class OldVersion:
    """An older version's command line, in a folder of its own.

    Args:
        code: The folder that :func:`checkout` filled.
        work: Where it runs; its params.yaml and scenes lie there.
        environment: Names the buckets and the MLflow server, on top of this process's environment.
    """

    def __init__(self, code: Path, work: Path, environment: Mapping[str, str]) -> None:
        self._work = work
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "2"}
        work.mkdir(parents=True, exist_ok=True)
        (work / "params.yaml").write_text(yaml.safe_dump(PARAMS))

    def run(self, *commands: tuple[str, ...]) -> None:
        """Runs verbs one after the other, in one process."""
        done = subprocess.run(
            [sys.executable, "-c", _RUN, json.dumps(commands)],
            cwd=self._work, env=self._environment, capture_output=True, text=True, timeout=800, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

    def fill(self, raw: str) -> None:
        """Makes one result of each kind, two champions, and a map."""
        champions = [
            command
            for seed in (1, 2)
            for command in (
                ("train", "--set", f"training.seed={seed}"),
                ("evaluate", "--scenes", "latest", "--model", "latest"),
                ("register",),
                ("promote",),
            )
        ]
        self.run(
            ("sample", "scenes"),
            ("upload", "scenes", f"s3://{raw}/scenes"),
            ("ingest", "--set", f"ingest.source=s3://{raw}/scenes"),
            ("pairs",),
            ("pretrain",),
            *champions,
            ("quantize",),
        )
        name = sorted((self._work / "scenes" / "images").glob("*_pre_disaster.png"))[0].name
        before, after = f"scenes/images/{name}", f"scenes/images/{name.replace('_pre_', '_post_')}"
        model = "models:/siamese-damage@champion"
        self.run(("map", "--pre", before, "--post", after, "--model", model, "--out", "map"))
