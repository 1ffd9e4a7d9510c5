"""The commands as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from siamese.classes import COLOURS, DAMAGE_CLASSES
from siamese.cli import main
from siamese.manifests import DamageMap
from siamese.params import Params
from siamese.store import ObjectStore


@pytest.fixture(autouse=True)
def _place(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find the buckets of the test, and small windows."""
    for use in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{use.upper()}_BUCKET", getattr(store.settings, f"{use}_bucket"))
    monkeypatch.setenv("SIAMESE_HOME", str(store.settings.home))
    (tmp_path / "params.yaml").write_text("embedding: {window_px: 128, margin_px: 32}\n")
    assert Params()
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(words)
    captured = capsys.readouterr()
    assert not end.value.code, captured.err
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("siamese: ")]
    assert len(lines) == 1
    return lines[0]


def class_colours(sheet: Path) -> set[str]:
    """The classes whose colour is somewhere on a sheet."""
    seen = set(Image.open(sheet).convert("RGB").get_flattened_data())
    return {name for name in DAMAGE_CLASSES if COLOURS[name] in seen}


def test_a_person_labels_adapts_and_assesses(
    store: ObjectStore, damage_map: DamageMap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage_map.mark_current(store)
    told = run(capsys, "select", "storm", "-n", "6", "--out", "labels.geojson", "--sheet", "labels.png")
    assert "6 of 48 buildings of storm to label" in told
    assert class_colours(tmp_path / "labels.png")
    tree = json.loads((tmp_path / "labels.geojson").read_text())
    for number, one in enumerate(tree["features"]):
        one["properties"]["damage_class"] = ("no_damage", "destroyed")[number % 2]
    (tmp_path / "labels.geojson").write_text(json.dumps(tree))
    told = run(capsys, "adapt", "storm", "--labels", "labels.geojson", "--author", "ana", "--out", "adapted")
    assert "adapted to 6 labels" in told
    assert json.loads((tmp_path / "adapted" / "map.json").read_text())["parent"] == damage_map.digest
    assert DamageMap.current(store, "storm").parent == damage_map.digest, "it is the current map now"
    told = run(capsys, "assess", "storm", "-n", "20", "--sheet", "sample.png")
    assert "20 buildings of storm drawn" in told
    assert not class_colours(tmp_path / "sample.png"), "who judges a map is not shown what it says"
    sample = json.loads((tmp_path / "assess.geojson").read_text())
    for one in sample["features"]:
        one["properties"]["damage_class"] = "no_damage"
    (tmp_path / "assess.geojson").write_text(json.dumps(sample))
    told = run(capsys, "assess", "storm", "-n", "20", "--labels", "assess.geojson", "--out", "assessment.json")
    assert "95 % intervals" in told
    found = json.loads((tmp_path / "assessment.json").read_text())
    assert found["sampled"] == 20
    told = run(capsys, "select", "storm", "-n", "3", "--out", "more.csv", "--json")
    assert len(json.loads(told)["picks"]) == 3
    assert (tmp_path / "more.csv").read_text().splitlines()[0] == "id,damage_class"


def test_what_is_wrong_is_one_line(
    damage_map: DamageMap, store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage_map.mark_current(store)
    (tmp_path / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    assert "there is no such file" in refused(capsys, "adapt", "storm", "--labels", "none.geojson")
    assert "holds no label" in refused(capsys, "adapt", "storm", "--labels", "empty.geojson")
    assert "no such map" in refused(capsys, "select", "calm")
    assert "0 buildings were asked for" in refused(capsys, "select", "storm", "-n", "0")
    assert "too few" in refused(capsys, "assess", "storm", "-n", "2")
