"""DVC's chain asks for new work exactly when the declared stages do: their params and versions, never their code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from siamese.params import Params
from siamese.params.section import HOW_ONLY, Section
from siamese.stages import STAGES

ROOT = Path(__file__).parents[1]
CHAIN: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "params.yaml").read_text())
MAKES = {"ingest": "catalog", "pairs": "pair-set", "train": "checkpoint", "evaluate": "evaluation"}
SECTIONS: dict[str, tuple[str, ...]] = {"sample": ("sample",)} | {
    name: tuple(stage.sections) for name, noun in MAKES.items() for stage in STAGES if stage.noun == noun
}
VERSIONS = {"sample": {"siamese/sample/write.py": ["GENERATION"]}} | {
    name: {"stages.lock": [f"{noun}.version"]} for name, noun in MAKES.items()
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_dvc_stage_depends_on_what_its_stage_declares(name: str) -> None:
    params = CHAIN[name]["params"]
    listed, due = {one for one in params if isinstance(one, str)}, _decisive(name)
    assert listed == due, f"dvc.yaml, {name}: add {sorted(due - listed)}, take out {sorted(listed - due)}"
    assert [one for one in params if isinstance(one, dict)] == [VERSIONS[name]]
    assert all(dep.startswith("data/") for dep in CHAIN[name].get("deps", ())), "code is no dependency"


@pytest.mark.parametrize("name", SECTIONS)
def test_the_params_file_has_every_param_that_dvc_compares(name: str) -> None:
    written = {f"{section}.{key}" for section in SECTIONS[name] for key in PARAMS[section]}
    assert not _decisive(name) - written, "add them to params.yaml, as DVC knows no defaults"


def test_every_verb_of_the_chain_is_covered() -> None:
    assert set(CHAIN) - {"upload"} == set(SECTIONS)


def test_dvc_calls_changed_exactly_the_stages_whose_results_a_param_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _pretend_that_it_ran()
    assert _status() == {}

    how_fast = {section: dict.fromkeys(_how_only(section), 64) for section in Params.model_fields}
    _write_params({section: PARAMS.get(section, {}) | how_fast[section] for section in how_fast})
    with Path("siamese/sample/write.py").open("a") as code:
        code.write("# A comment.\n")
    assert _status() == {}

    _write_params({section: dict.fromkeys(keys, "another") for section, keys in PARAMS.items()})
    assert _status() == {
        name: [{"changed deps": {"params.yaml": dict.fromkeys(_decisive(name), "modified")}}] for name in SECTIONS
    }


def _section(name: str) -> type[Section]:
    return type(getattr(Params(), name))


def _how_only(section: str) -> set[str]:
    return {key for key, field in _section(section).model_fields.items() if field.json_schema_extra == HOW_ONLY}


def _decisive(name: str) -> set[str]:
    """Returns the params that the result of a DVC stage depends on."""
    return {
        f"{section}.{key}"
        for section in SECTIONS[name]
        for key in _section(section).model_fields.keys() - _how_only(section)
    }


def _pretend_that_it_ran() -> None:
    """Makes the current folder a project whose chain has run, as far as DVC knows."""
    for name in ("dvc.yaml", "params.yaml", "stages.lock", "siamese/sample/write.py"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, name)
    for stage in CHAIN.values():
        for name in (*stage["outs"], *stage.get("metrics", ())):
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text("{}")
    Repo.init(no_scm=True).commit(force=True)


def _write_params(params: dict[str, dict[str, Any]]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))


def _status() -> Any:  # noqa: ANN401
    with Repo() as repo:
        return repo.status()
