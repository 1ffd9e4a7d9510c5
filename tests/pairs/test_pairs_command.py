"""The command: a table for people, one object for programs, one line when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from builders.tinyscenes import TinyScene, tiny_scenes

from siamese.cli import main
from siamese.manifests import PairSet, SceneCatalog
from siamese.store import ObjectStore


@pytest.fixture
def catalog(
    store: ObjectStore,
    make_catalog: Callable[[Sequence[TinyScene]], SceneCatalog],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> SceneCatalog:
    for name, value in store.settings.model_dump().items():
        monkeypatch.setenv(f"SIAMESE_{name.upper()}", str(value))
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("pairs: {val_share: 0.25, test_share: 0.25, block_px: 32}")
    return make_catalog(tiny_scenes())


def run(*words: str) -> int:
    try:
        main(["pairs", *words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_it_prints_splits_by_events_and_classes(
    catalog: SceneCatalog, store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--catalog", catalog.digest) == 0
    printed = capsys.readouterr().out
    for word in ("train", "val", "test", "flood", "storm-one", "classified"):
        assert word in printed
    latest = PairSet.latest(store)
    assert latest.digest in printed
    assert latest.origin.sources == {"catalog": catalog.digest}


def test_as_json_it_prints_one_object_and_out_is_a_reference(
    catalog: SceneCatalog, store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--catalog", catalog.digest, "--json", "--out", "made/pairs.json", "--set", "pairs.split=event",
               "--set", "pairs.test_events=[flood]", "--set", "pairs.val_share=0") == 0  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(Path("made/pairs.json").read_text())
    assert printed["splits"]["test"]["events"] == {"flood": 4}
    assert PairSet.model_validate(printed) == PairSet.latest(store)


def test_what_is_wrong_is_one_line(catalog: SceneCatalog, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--catalog", catalog.digest, "--set", "pairs.split=official") == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("siamese: pairs.split: official: 9 of 9 scenes lie in no official split")
    assert run("--catalog", "0123456789abcdef") == 1
    assert "no catalog has been published" in capsys.readouterr().err
