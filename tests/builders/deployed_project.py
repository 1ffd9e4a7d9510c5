"""A checkout with small params, deployed to a running stack; and what tests ask of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from running_stack import RunningStack
from waiting import until

from siamese.params import Params
from siamese.stack.layout import Layout
from siamese.stack.prefect_api import prefect_api
from siamese.stack.record import Record
from siamese.store import ObjectStore, S3Uri

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SERVERS = ("storage", "prefect", "mlflow")
_PARAMS = {
    "sample": {"scenes": 10, "seed": 3},
    "ingest": {"source": "s3://raw/scenes"},
    "pairs": {"val_share": 0.2, "test_share": 0.2},
    "network": {
        "encoder": "test_efficientnet",
        "pretrained": False,
        "decoder_channels": [16, 16, 8, 8],
        "localization_channels": [16, 8, 8, 8],
    },
    "training": {
        "epochs": 3,
        "crop_px": 256,
        "batch": 4,
        "validate_every": 3,
        "checkpoint_seconds": 2,
        # What learns for seconds is sure of no building, and the gate refuses who finds none.
        "building_threshold": 0.02,
        "damaged_threshold": 0.02,
        "building_peak": 0.0,
        "minimum_core_px": 0,
    },
    "evaluation": {"split": "test", "resamples": 50},
    # What learns for seconds has hardly learned every class.
    "promotion": {"model": "siamese-damage", "minimum_localization_f1": 0.0}
    | {f"minimum_f1_{name}": 0.0 for name in ("no_damage", "minor_damage", "major_damage", "destroyed")},
}
PARAMS: dict[str, Any] = Params.model_validate(_PARAMS).model_dump(mode="json")
"""With every key, as DVC knows no defaults."""


class Project:
    """A checkout with small params, on the stack's servers."""

    def __init__(self, stack: RunningStack) -> None:
        self.root, self.home = stack.root, stack.settings.home
        self.prefect = prefect_api(stack.environment, timeout_s=60)
        self.store = ObjectStore(stack.settings, stack.environment)
        self.environment = stack.environment | {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}
        for name in ("siamese", "flows"):
            shutil.copytree(REPOSITORY / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "stages.lock", ".dvcignore", ".gitignore"):
            shutil.copy(REPOSITORY / name, self.root / name)
        (self.root / "prefect.yaml").write_text(yaml.safe_dump(_without_schedules()))
        (self.root / ".dvc").mkdir()
        shutil.copy(REPOSITORY / ".dvc" / "config", self.root / ".dvc" / "config")
        (self.root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
        self.run("git", "init", "-q")
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "start")

    def deploy(self) -> None:
        """Brings up the stack for this checkout, draws scenes and uploads them."""
        siamese = str(BIN / "siamese")
        self.run(siamese, "up")
        self.run(siamese, "sample", "data/scenes")
        self.run(siamese, "upload", "data/scenes", "s3://raw/scenes")

    def run(self, *words: str, timeout: float = 400) -> str:
        """Runs a command in the checkout; gives what it printed."""
        done = self.ended(*words, timeout=timeout)
        assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def ended(self, *words: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        """Runs a command in the checkout, whatever its exit code."""
        return subprocess.run(
            words, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    def deploy_run(self, name: str, **parameters: object) -> None:
        """Runs a deployment to its end."""
        self.run(*watched(name, parameters))

    def start(self, name: str, **parameters: object) -> str:
        """Makes a run of a deployment; gives its id."""
        deployment = self.prefect.get(f"/deployments/name/{name}").raise_for_status().json()["id"]
        made = self.prefect.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
        return str(made.raise_for_status().json()["id"])

    def state(self, run: str) -> str:
        """The state of a run, or why Prefect cannot be asked."""
        try:
            return str(self.prefect.get(f"/flow_runs/{run}").raise_for_status().json()["state"]["type"])
        except httpx.HTTPError as error:
            return repr(error)

    def restart(self, server: str) -> None:
        """Kills a server, and brings it up again as a person would."""
        pid = Record.read(Layout(self.home)).services[server].identity.pid
        process = psutil.Process(pid)
        process.kill()
        psutil.wait_procs([process])
        self.run(str(BIN / "siamese"), "up")

    def sampled(self, numbers: Iterable[int]) -> list[str]:
        """The sample's scenes of these numbers, by name."""
        images = self.root / "data" / "scenes" / "images"
        found = {path.name.removesuffix("_pre_disaster.png") for path in images.glob("*_pre_disaster.png")}
        return sorted(name for name in found if int(name.rpartition("_")[2]) in set(numbers))

    def read(self, uri: str) -> dict[str, object]:
        """A JSON object of the lake."""
        return json.loads(self.store.get(S3Uri.parse(uri)))

    def lake(self) -> set[str]:
        """Every object of the lake and the maps that a stage published; not what Prefect, MLflow and DVC keep."""
        found = (
            f"{one.uri} {one.version_id}"
            for root in (self.store.lake, self.store.maps)
            for one in self.store.list(root)
        )
        return {line for line in found if not line.startswith(("s3://lake/mlflow", "s3://lake/dvc"))}


def _without_schedules() -> dict[str, Any]:
    """The deployments, none of which starts by itself at the full hour."""
    project: dict[str, Any] = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
    return project | {
        "deployments": [
            {key: value for key, value in one.items() if key != "schedules"} for one in project["deployments"]
        ]
    }


def watched(name: str, parameters: dict[str, object]) -> list[str]:
    """The command that runs a deployment, prints the run's states and fails when the run does."""
    return ["prefect", "deployment", "run", name, "--params", json.dumps(parameters), "--watch"]


def restart_each_server(project: Project, run: str, begun: Callable[[], object]) -> None:
    """Restarts one server after the other while a run works; the run completes."""
    until(begun, "the beginning of the work", every_s=0.2, at_most_s=300)
    for server in SERVERS:
        assert project.state(run) == "RUNNING", f"the run was to last until {server} was killed"
        project.restart(server)
    ended = until(
        lambda: (state := project.state(run)) in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} and state,
        "the end of the run", every_s=1, at_most_s=1500,
    )  # fmt: skip
    assert ended == "COMPLETED"
