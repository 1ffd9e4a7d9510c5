"""DVC's chain asks for new work exactly when the declared stages do: their params and versions, never their code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from siamese.stages import STAGES

CHAIN: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "dvc.yaml").read_text())["stages"]
MAKES = {"ingest": "catalog", "pairs": "pair-set", "train": "checkpoint", "evaluate": "evaluation"}


@pytest.mark.parametrize(("name", "noun"), MAKES.items())
def test_a_dvc_stage_depends_on_what_its_stage_declares(name: str, noun: str) -> None:
    stage = next(stage for stage in STAGES if stage.noun == noun)
    params = CHAIN[name]["params"]
    assert [one for one in params if isinstance(one, str)] == list(stage.sections)
    assert [one for one in params if isinstance(one, dict)] == [{"stages.lock": [f"{noun}.version"]}]
    assert all(dep.startswith("data/") for dep in CHAIN[name]["deps"]), "code is no dependency"


def test_every_verb_of_the_chain_is_covered() -> None:
    assert set(CHAIN) - {"sample", "upload", "register"} == set(MAKES)
