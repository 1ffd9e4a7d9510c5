"""The command ``siamese sample``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from siamese.cli import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("sample: {scenes: 2, seed: 9, event: flood}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["sample", *words])
    return int(ended.value.code or 0)


def test_options_left_out_come_from_params_and_json_is_one_object(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("set", "--scenes", "1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["scenes"], told["written"]) == (1, 1)
    assert all(path.name.startswith("sample-flood_00000000_") for path in (project / "set/images").iterdir())
    assert run("set") == 0
    assert "2 scenes" in " ".join(capsys.readouterr().out.split())


def test_a_refusal_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(".") == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert "params.yaml" in err
