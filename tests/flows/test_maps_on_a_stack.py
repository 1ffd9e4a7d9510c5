"""Damage maps through Prefect on a real stack: published once, whatever is restarted in the middle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from builders.champions import crown
from builders.deployed_project import BIN, Project, restart_each_server, watched
from running_stack import RunningStack

from siamese.model import Decision


@pytest.fixture(scope="module")
def project(stack: RunningStack) -> Project:
    project = Project(stack)
    project.deploy()
    # Of networks that never learned, this one sees some dozens of buildings in every scene.
    crown(project.store, 3, Decision(building=0.66, damaged_building=0.66, minimum_px=64))
    return project


def test_maps_are_published_once(project: Project) -> None:
    scenes = project.sampled(range(2))
    project.deploy_run("damage_map/cpu", scenes=scenes)
    made = project.lake()
    assert len(_maps(project)) == 2
    project.deploy_run("damage_map/cpu", scenes=scenes)
    assert project.lake() == made


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


def _maps(project: Project) -> list[str]:
    return [line for line in project.lake() if "/damage-map/" in line and "manifest.json" in line]


def _blocks(project: Project) -> list[str]:
    return [line for line in project.lake() if "/prediction/" in line and "manifest.json" not in line]
