"""What changes the identity of a result, and what does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from siamese.errors import SiameseError
from siamese.evaluation.stage import EVALUATION
from siamese.ingest.stage import CATALOG
from siamese.manifests import Checkpoint, PairSet, SceneCatalog
from siamese.pairs.stage import PAIR_SET
from siamese.params import EvaluationParams, IngestParams, PairsParams, PretrainingParams
from siamese.params.section import Section, neutral
from siamese.stages import STAGES, disagreement, present, read_lock, write_lock
from siamese.store import Blob, Stage
from siamese.training.stage import CHECKPOINT

REPOSITORY = Path(__file__).parents[2]


def blob(mark: str, place: str = "here") -> Blob:
    return Blob(uri=f"s3://lake/{place}/{mark}", size=1, sha256=mark * 64)


def pair_set(mark: str = "a", **changes: Any) -> PairSet:  # noqa: ANN401
    catalog = SceneCatalog(
        origin=CATALOG.plan(inputs={"listing": "x"}, params={"ingest": IngestParams()}),
        source="s3://raw/x", table=blob("1"), inventory=blob("2"), accepted=1, unlabelled=0, quarantined=0, ignored=0,
        buildings={},
    )  # fmt: skip
    origin = PAIR_SET.plan(inputs={"catalog": catalog}, params={"pairs": PairsParams()})
    fields = {"index": blob(mark), "buildings": blob("b"), "statistics": blob("c"), "shards": (blob("d"),)}
    return PairSet(origin=origin, block_px=128, splits={}, **(fields | changes))


def checkpoint(pairs: PairSet, weights: str = "e", minutes: float = 1) -> Checkpoint:
    return Checkpoint(
        origin=CHECKPOINT.plan(inputs={"pairs": pairs}, params={}), weights=blob(weights), network=blob("f"),
        curves=blob("0"), pairs=pairs.digest, epochs=1, best_epoch=1, minutes=minutes, run_id=None,
    )  # fmt: skip


def evaluation_of(one: Checkpoint, pairs: PairSet, params: EvaluationParams | None = None) -> str:
    return EVALUATION.plan(
        inputs={"checkpoint": one, "pairs": pairs}, params={"evaluation": params or EvaluationParams()}
    ).digest


def test_an_input_counts_by_what_it_holds_not_by_how_or_where_it_was_made() -> None:
    pairs = pair_set()
    first, again = checkpoint(pairs, minutes=1), checkpoint(pair_set(statistics=blob("9")), minutes=7)
    assert first.content == again.content
    assert evaluation_of(first, pairs) == evaluation_of(again, pair_set(index=blob("a", "elsewhere")))
    assert evaluation_of(first, pairs) != evaluation_of(checkpoint(pairs, weights="7"), pairs)
    assert evaluation_of(first, pairs) != evaluation_of(first, pair_set("3"))


def test_a_param_counts_when_it_is_not_neutral_and_decides_what_comes_out() -> None:
    pairs = pair_set()
    one = checkpoint(pairs)
    plain = evaluation_of(one, pairs)
    assert plain == evaluation_of(one, pairs, EvaluationParams(iou=0.5, workers=1))
    assert plain != evaluation_of(one, pairs, EvaluationParams(iou=0.6))


def test_a_new_param_with_its_neutral_value_changes_nothing_even_when_its_default_moves() -> None:
    class Before(Section):
        a: int = 1

    class After(Section):
        a: int = 1
        b: str = "as before"

    class Moved(Section):
        from pydantic import Field

        a: int = Field(2, json_schema_extra=neutral(1))
        b: str = "as before"

    assert Before().identity() == After().identity() == Moved(a=1).identity() == {}
    assert Before(a=2).identity() == Moved().identity() == {"a": 2}


def test_a_raised_version_changes_that_stage_and_only_what_its_content_reaches() -> None:
    raised = Stage(PairSet, version=PAIR_SET.version + 1, package=PAIR_SET.package, sections=PAIR_SET.sections)
    same = pair_set()
    catalog = same.origin.inputs["catalog"]
    newer = same.model_copy(
        update={"origin": raised.plan(inputs={"catalog": catalog}, params={"pairs": PairsParams()})}
    )
    assert newer.digest != same.digest
    assert checkpoint(newer).digest == checkpoint(same).digest, "the same content came out, so what follows stays"


@pytest.mark.parametrize("code", ['"""Another docstring."""\n', "# a comment\n", "\n\n\n"])
def test_words_and_layout_are_no_change_of_code(tmp_path: Path, code: str) -> None:
    assert _hash_after(tmp_path / "a", "") == _hash_after(tmp_path / "b", code)


def test_another_statement_is_a_change_of_code_that_the_lock_sees(tmp_path: Path) -> None:
    assert _hash_after(tmp_path / "a", "") != _hash_after(tmp_path / "b", "X = 1\n")


EDITS = {
    "classes.py": ("(255, 225, 77)", "(255, 225, 78)"),
    "learning/tracking.py": ("training goes on without it", "the training continues"),
    "mapping/remote.py": ("_TIMEOUT_S: Final = 60.0", "_TIMEOUT_S: Final = 61.0"),
    "pairs/masks.py": ("with one rule for overlaps", "whatever overlaps"),
}
"""A colour, a text of the log, a timeout and a docstring."""
_PLANS = """
import importlib.metadata, json, sys
from pathlib import Path
if len(sys.argv) > 2:
    importlib.metadata.version = lambda name: "99.0"
from siamese.manifests import Checkpoint
from siamese.stages import STAGES
from siamese.store.provenance import Surroundings
checkpoint = Checkpoint.parse(Path(sys.argv[1]).read_bytes(), "checkpoint")
plans = {
    stage.noun: stage.plan(
        inputs={"listing": "x", "checkpoint": checkpoint, "more": [checkpoint]},
        params={name: section() for name, section in stage.sections.items()},
    )
    for stage in STAGES
}
identities = {name: [plan.digest, plan.inputs, plan.params] for name, plan in plans.items()}
codes = {name: plan.code for name, plan in plans.items()}
print(json.dumps([identities, codes, Surroundings.here().libraries]))
"""


def test_edits_and_other_libraries_move_no_identity_and_are_recorded(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "siamese", tmp_path / "siamese", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in EDITS.items():
        file = tmp_path / "siamese" / name
        assert file.read_text().count(old) == 1, name
        file.write_text(file.read_text().replace(old, new))
    identities, codes, libraries = _plans(REPOSITORY)
    edited_identities, edited_codes, other_libraries = _plans(tmp_path, "other libraries")
    assert len(identities) == len(STAGES)
    assert edited_identities == identities
    assert {name for name in codes if codes[name] != edited_codes[name]} >= {"pair-set", "checkpoint", "damage-map"}
    assert {version for name, version in other_libraries.items() if name in libraries and name != "gdal"} == {"99.0"}


def _plans(folder: Path, *how: str) -> Any:  # noqa: ANN401
    """The identities of all stages, the hashes of their code, and the libraries, as the source in a folder has them."""
    golden = REPOSITORY / "tests" / "upgrade" / "manifests" / "0.3.0" / "checkpoint.json"
    command = [sys.executable, "-c", _PLANS, str(golden), *how]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _hash_after(folder: Path, code: str) -> str:
    """The hash of the code that ``pairs`` reaches, in a copy whose masks.py begins so."""
    shutil.copytree(REPOSITORY / "siamese", folder / "siamese", ignore=shutil.ignore_patterns("__pycache__"))
    masks = folder / "siamese" / "pairs" / "masks.py"
    text = masks.read_text()
    begin = text.index("from __future__")
    masks.write_text((code if code.startswith('"') else text[:begin] + code.replace("X = 1\n", "")) + text[begin:])
    if code.startswith("X"):
        masks.write_text(masks.read_text() + code)
    command = "from siamese.store.provenance import code_version; print(code_version('siamese.pairs'))"
    return subprocess.run(
        [sys.executable, "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(folder)},
    ).stdout


def test_the_lock_agrees_and_speaks_when_it_does_not(tmp_path: Path) -> None:
    lock = read_lock()
    assert [disagreement(stage, lock) for stage in STAGES] == [None] * len(STAGES)
    file = tmp_path / "stages.lock"
    assert set(write_lock(path=file)) == {stage.noun for stage in STAGES}
    text = file.read_text()
    file.write_text(text.replace(present(PAIR_SET).code, "f" * 12))
    told = disagreement(PAIR_SET, read_lock(file))
    assert told
    assert "siamese.pairs.stage" in told
    with pytest.raises(SiameseError, match="--same-results"):
        write_lock(path=file)
    write_lock("only a name changed", file)
    assert read_lock(file)["pair-set"].same_results == "only a name changed"
    assert disagreement(PAIR_SET, read_lock(file)) is None
    file.write_text(text.replace("split: scene", "split: event"))
    assert "pairs.split" in str(disagreement(PAIR_SET, read_lock(file)))


def test_the_neutral_values_are_the_params_defaults_unless_declared() -> None:
    assert PretrainingParams(method="simsiam").identity() == {}, "the default before BYOL"
    assert PretrainingParams().identity() == {"method": "byol"}
    assert PairsParams.neutral()["val_events"] == []
    assert "workers" not in PairsParams.neutral()
