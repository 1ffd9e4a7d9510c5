"""Retraining through Prefect and DVC on a real stack: killed in the middle, run again, and nothing done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from builders.deployed_project import BIN, PARAMS, Project, restart_each_server
from running_stack import RunningStack
from waiting import until


@pytest.fixture(scope="module")
def project(stack: RunningStack) -> Project:
    return Project(stack)


@pytest.mark.timeout(1800)
def test_a_killed_retraining_goes_on_and_nothing_is_done_twice(project: Project) -> None:
    siamese = str(BIN / "siamese")
    project.deploy()

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
    project.run("dvc", "repro", "--force", "--single-item", "ingest", "pairs", "train", "evaluate")
    assert "up to date" in project.run("dvc", "status"), "a verb whose result exists writes the same manifest"
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
