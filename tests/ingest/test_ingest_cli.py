"""``siamese upload`` and ``siamese ingest`` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders.made_scenes import many, png, put

from siamese.cli import main
from siamese.manifests import SceneCatalog
from siamese.store import ObjectStore


@pytest.fixture
def here(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A folder with params.yaml, and the environment pointing at the store."""
    for use in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{use.upper()}_BUCKET", getattr(store.settings, f"{use}_bucket"))
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"ingest: {{source: {store.raw / 'in'}}}")
    return store


def run(*words: str) -> int:
    try:
        main(words)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_from_a_folder_to_a_catalog(here: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in many(2).items():
        path = Path("scenes") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert run("upload", "scenes", str(here.raw / "in"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"] == 8
    assert run("upload", "scenes", str(here.raw / "in")) == 0
    assert "8 skipped" in capsys.readouterr().out
    assert run("ingest", "--json", "--out", "out/catalog.json") == 0
    told = SceneCatalog.model_validate_json(capsys.readouterr().out)
    assert told.accepted == 2
    assert told == SceneCatalog.latest(here) == SceneCatalog.model_validate_json(Path("out/catalog.json").read_text())


def test_the_table_tells_verdicts_and_reasons(here: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    objects = many(2) | {"images/test-wind_00000001_pre_disaster.png": png()[:-1], "README": b"", "images/[x].png": b""}
    assert run("ingest", str(put(here, objects, "other"))) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "accepted │ 1" in told
    assert "quarantined │ 2" in told
    assert "truncated" in told
    assert "images/[x].png" in told
    assert "objects ignored: 1" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ingest",), "in: holds no objects"),
        (("ingest", "raw/in"), "not an S3 address"),
        (("ingest", "s3://no-such-bucket/in"), "no such bucket"),
        (("ingest", "--set", "ingest.workers=0"), "ingest.workers"),
        (("upload", "nowhere", "s3://raw/in"), "nowhere: there is no such folder or file"),
        (("upload", ".", "file:///tmp"), "not an S3 address"),
    ],
)
def test_an_error_is_one_line(
    here: ObjectStore, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    del here
    assert run(*words) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert told in lines[0]
    assert " — " in lines[0]
