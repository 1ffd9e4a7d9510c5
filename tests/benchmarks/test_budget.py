"""A benchmark's time: pieces that fit are done, the others are named, and there is always one JSON line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from budget import Budget

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time now."""
        return self.now

    def work(self, seconds: float) -> float:
        """Lets so much time go by."""
        self.now += seconds
        return seconds


def test_pieces_are_done_until_time_is_up_and_the_rest_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    budget = Budget("tried", 10, clock)
    done = [budget.attempt(f"piece {n}", lambda: clock.work(240)) for n in range(4)]
    assert done == [240, 240, 240, None]
    assert json.loads(budget.record({"pieces": 3})) == {
        "benchmark": "tried",
        "asked_minutes": 10,
        "left_out": ["piece 3"],
        "pieces": 3,
    }
    assert [line.split("tried: ")[1] for line in capsys.readouterr().err.splitlines()] == [
        f"piece {n}" for n in range(3)
    ]


def test_a_piece_may_have_less_than_the_whole_time() -> None:
    clock = Clock()
    budget = Budget("tried", 10, clock)
    assert budget.attempt("first", lambda: clock.work(301)) == 301
    assert budget.attempt("second", lambda: clock.work(1), within=0.5) is None
    assert budget.attempt("third", lambda: clock.work(1)) == 1
    assert budget.left_out == ["second"]


def test_a_piece_that_does_not_end_is_interrupted_and_errors_are_not_swallowed() -> None:
    budget = Budget("tried", 0.001)
    assert budget.attempt("endless", lambda: threading.Event().wait(100)) is None
    assert budget.left_out == ["endless"]
    with pytest.raises(ZeroDivisionError):
        Budget("tried", 1).attempt("wrong", lambda: 1 // 0)


def test_without_a_limit_everything_is_done_and_nothing_is_said_of_it() -> None:
    budget = Budget("tried")
    assert budget.attempt("piece", lambda: 1) == 1
    assert json.loads(budget.record({"share": 1 / 3, "of": [{"it": 2 / 3}]})) == {
        "benchmark": "tried",
        "share": 0.3333,
        "of": [{"it": 0.6667}],
    }


def test_many_that_are_left_out_are_counted() -> None:
    budget = Budget("tried", 0)
    assert [budget.attempt(str(n), lambda: 1) for n in range(30)] == [None] * 30
    assert json.loads(budget.record({}))["left_out"] == [*map(str, range(20)), "10 more"]


@pytest.mark.parametrize(
    "name",
    [
        *("inference", "training", "ingest", "pairs", "variants"),
        *("adapting", "alignment", "digits", "landing", "obscured", "page", "series"),
    ],
)
def test_with_no_time_at_all_there_is_still_one_line(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--minutes", "0"]
    if name in {"alignment", "landing", "obscured"}:  # a scene that nobody will have the time to read
        for file in ("images/a_pre_disaster.png", "labels/a_pre_disaster.json"):
            (tmp_path / file).parent.mkdir()
            (tmp_path / file).touch()
        command += ["--scenes", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["benchmark"] == name
    assert record["left_out"]
