"""The whole chain through Prefect and DVC on a real stack: killed in the middle, run again, and nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import psutil
import pytest
import yaml
from running_stack import RunningStack
from waiting import until

from siamese.stack.layout import Layout
from siamese.stack.prefect_api import prefect_api
from siamese.stack.record import Record
from siamese.store import ObjectStore, S3Uri

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PARAMS = {
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


@pytest.fixture(scope="module")
def project(stack: RunningStack) -> Project:
    return Project(stack)


@pytest.mark.timeout(1800)
def test_a_killed_retraining_goes_on_and_nothing_is_done_twice(project: Project) -> None:
    siamese = str(BIN / "siamese")
    project.run(siamese, "up")
    project.run(siamese, "sample", "data/scenes")
    project.run(siamese, "upload", "data/scenes", "s3://raw/scenes")

    first = subprocess.Popen(
        ["prefect", "deployment", "run", "retrain/cpu", "--watch"], cwd=project.root, env=project.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        pointer = _wait_for(project, "progress/pointer.json")
        _kill_worker_and_flow("gpu", project.root)
        project.run(siamese, "up")
        project.deploy_run("train/gpu", pairs=_digest_of_pairs(project), overrides={})
        project.deploy_run("retrain/cpu")
    finally:
        first.kill()
        first.wait()

    lake = project.lake()
    assert len([line for line in lake if "/checkpoint/" in line and "manifest.json" in line]) == 1
    assert pointer.split("/progress/")[0] in next(line for line in lake if "/checkpoint/" in line)
    assert len([line for line in lake if "/ledger/" in line]) == 1
    entries = json.loads(project.run(siamese, "history", "--json"))["entries"]
    assert [(entry["kind"], entry["candidate"]["version"]) for entry in entries] == [("promote", 1)]

    assert len([line for line in lake if "/runs/" in line and "specification.json" in line]) == 1
    (outcome,) = [line.split()[0] for line in lake if "/outcome-" in line]
    assert project.read(outcome)["digest"] == pointer.split("/")[4]


def test_a_working_copy_reaches_no_run_and_dvc_finds_what_flows_made(project: Project) -> None:
    lake, params = project.lake(), project.root / "params.yaml"
    params.write_text(yaml.safe_dump(PARAMS | {"training": {"epochs": 1}}))
    project.deploy_run("retrain/cpu")
    assert project.lake() == lake, "what a working copy says reaches no run until it is published"
    params.write_text(yaml.safe_dump(PARAMS))

    project.run("dvc", "repro")
    assert project.lake() == lake
    assert "up to date" in project.run("dvc", "repro")
    project.run("dvc", "push")
    assert json.loads(project.run("dvc", "metrics", "show", "--json"))


def test_an_experiment_registers_and_promotes_nothing(project: Project) -> None:
    def decided() -> set[str]:
        return {line for line in project.lake() if any(f"/{kind}/" in line for kind in ("ledger", "model-version"))}

    before = decided()
    project.run("dvc", "exp", "run", "-S", "training.epochs=2")
    assert len([line for line in project.lake() if "/checkpoint/" in line and "/manifest.json" in line]) == 2
    assert decided() == before
    (project.root / "params.yaml").write_text(yaml.safe_dump(PARAMS))


def test_maps_are_published_once(project: Project) -> None:
    scenes = project.sampled(range(4))
    project.deploy_run("damage_map/cpu", scenes=scenes)
    made = project.lake()
    assert len(_maps(project)) == 4
    project.deploy_run("damage_map/cpu", scenes=scenes)
    assert project.lake() == made


SERVERS = ("storage", "prefect", "mlflow")


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


@pytest.mark.timeout(1800)
def test_a_damage_map_outlives_a_restart_of_each_server(project: Project) -> None:
    before, scenes = len(_maps(project)), project.sampled(range(10))
    blocks = len(_blocks(project))
    run = project.start("damage_map/cpu", scenes=scenes, overrides={"mapping.flips": 4})
    restart_each_server(project, run, lambda: len(_blocks(project)) > blocks)
    assert len(_maps(project)) == before + len(scenes)
    made = project.lake()
    project.deploy_run("damage_map/cpu", scenes=scenes, overrides={"mapping.flips": 4})
    assert project.lake() == made


def test_a_scene_that_cannot_be_mapped_holds_up_no_other(project: Project) -> None:
    grey = project.root / "data" / "grey" / "images"
    grey.mkdir(parents=True)
    for date in ("pre", "post"):
        cv2.imwrite(str(grey / f"aaa_00000000_{date}_disaster.png"), np.full((256, 256), len(date) * 30, np.uint8))
    project.run(str(BIN / "siamese"), "upload", "data/grey", "s3://raw/scenes")
    others = project.sampled([4])
    made = len(_maps(project))
    given = {"scenes": ["aaa_00000000", *others], "overrides": {"ingest.bands": [1, 3]}}
    done = project.ended(*watched("damage_map/cpu", given))
    assert (done.returncode, "Failed" in done.stdout) == (1, True), done.stdout[-3000:] + done.stderr[-3000:]
    told = "".join(project.run("prefect", "artifact", "inspect", "scenes-without-map").split())
    assert "aaa_00000000" in told
    assert "greenandblue" in told
    assert len(_maps(project)) == made + 1


@pytest.mark.timeout(1800)
def test_a_retraining_from_the_champion_outlives_a_restart_of_each_server(project: Project) -> None:
    parent, changed = "models:/siamese-damage@champion", {"training.epochs": 1000, "training.minutes": 2}
    states = len(_states(project))
    run = project.start("retrain/cpu", parent=parent, overrides=changed)
    restart_each_server(project, run, lambda: len(_states(project)) > states)
    code = (
        "from siamese.registry import resolve_model; from siamese.store import ObjectStore; s = ObjectStore()\n"
        "one, two = (resolve_model(f'models:/siamese-damage/{number}', s) for number in (1, 2))\n"
        "print(two.origin.sources['parent'] == one.digest, two.start == f'checkpoint {one.digest}')"
    )
    assert project.run(sys.executable, "-c", code).split() == ["True", "True"]


def _maps(project: Project) -> list[str]:
    return [line for line in project.lake() if "/damage-map/" in line and "manifest.json" in line]


def _blocks(project: Project) -> list[str]:
    return [line for line in project.lake() if "/prediction/" in line and "manifest.json" not in line]


def _states(project: Project) -> list[str]:
    return [line for line in project.lake() if line.split()[0].endswith("progress/pointer.json")]


def _wait_for(project: Project, ending: str) -> str:
    found = until(
        lambda: [line for line in project.lake() if line.split()[0].endswith(ending)],
        ending,
        every_s=0.5,
        at_most_s=300,
    )
    return found[0]


def _digest_of_pairs(project: Project) -> str:
    (digest,) = {
        line.split("/")[4]
        for line in project.lake()
        if line.startswith("s3://lake/pair-set/") and line.split()[0].endswith("/manifest.json")
    }
    return digest


def _kill_worker_and_flow(pool: str, root: Path) -> None:
    workers = [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if process.info["cwd"] == str(root) and {"worker", pool} <= set(process.info["cmdline"] or ())
    ]
    assert workers, f"no worker of pool {pool}"
    family = [child for worker in workers for child in worker.children(recursive=True)] + workers
    assert any("prefect.engine" in " ".join(process.cmdline()) for process in family), "no flow runs"
    for process in family:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family)
