"""Several networks as one: what it is called, what it reaches and costs, and that it is not taken for one network."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.evalscenes import little_scenes
from rich.console import Console

from siamese.cli import main
from siamese.cli.scoretable import report_text
from siamese.errors import SiameseError
from siamese.evaluation import Report, evaluate, evaluate_folder, read_report
from siamese.manifests import Checkpoint, PairSet
from siamese.model import Predictor, build_network, load_network, put_network
from siamese.pairs import PairReader
from siamese.params import EvaluationParams, PromotionParams
from siamese.registry import register
from siamese.store import ObjectStore

PARAMS = EvaluationParams(resamples=50)


@pytest.fixture(scope="module")
def other(store: ObjectStore, checkpoint: Checkpoint) -> Checkpoint:
    """A network with other weights and the same decision."""
    _, config = load_network(store, checkpoint)
    torch.manual_seed(1)
    network = build_network(config.network)
    folder = Checkpoint.folder(store, "2" * 16)
    weights, config_blob = put_network(
        store, folder, network.state_dict(), config.network, config.decision, config.start
    )
    origin = checkpoint.origin.model_copy(update={"digest": "2" * 16})
    changes = {"origin": origin, "weights": weights, "network": config_blob}
    return checkpoint.model_copy(update=changes).publish(store)


def test_an_ensemble_is_published_under_its_own_digest_with_all_its_members(
    store: ObjectStore, checkpoint: Checkpoint, other: Checkpoint, pair_set: PairSet
) -> None:
    alone = evaluate(checkpoint, pair_set, PARAMS, store)
    both = evaluate(checkpoint, pair_set, PARAMS, store, further=[other])
    assert both.digest != alone.digest
    assert (both.checkpoint, both.further, alone.further) == (checkpoint.digest, (other.digest,), ())
    assert evaluate(checkpoint, pair_set, PARAMS, store, further=[other]) == both
    report = read_report(both, store)
    assert (report.checkpoint, report.further) == (checkpoint.digest, (other.digest,))
    predictor, reader = Predictor.load(store, checkpoint, other), PairReader(store, pair_set, cache=None)
    found = [predictor.classify(*reader.whole(entry.scene)[:2], entry.disaster_type) for entry in reader.scenes("test")]
    assert sum(map(sum, report.confusion)) == sum(classes.size for classes in found)
    counted = np.sum([np.bincount(classes.ravel(), minlength=5) for classes in found], axis=0)
    assert np.array(report.confusion).sum(0).tolist() == counted.tolist()


def test_a_folder_shows_what_each_model_reaches_and_costs_beside_the_whole(
    store: ObjectStore, checkpoint: Checkpoint, other: Checkpoint, make_folder: Callable[..., Path]
) -> None:
    folder = make_folder(little_scenes()[:3])
    report = evaluate_folder(checkpoint, folder, PARAMS, store, further=[other])
    first, second, whole = report.members
    assert [one.models for one in report.members] == [
        (checkpoint.digest,),
        (other.digest,),
        (checkpoint.digest, other.digest),
    ]
    assert first.scores == evaluate_folder(checkpoint, folder, PARAMS, store).counts.scores()
    assert second.scores == evaluate_folder(other, folder, PARAMS, store).counts.scores()
    assert whole.scores == report.counts.scores()
    assert whole.gflop == pytest.approx(first.gflop + second.gflop)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(report_text(report))
    told = console.export_text()
    assert "average of 2" in told
    assert f"{whole.gflop:.1f}" in told


def test_no_model_is_averaged_with_itself(store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet) -> None:
    with pytest.raises(SiameseError, match="is in the ensemble twice"):
        evaluate(checkpoint, pair_set, PARAMS, store, further=[checkpoint])


def test_an_ensembles_evaluation_registers_no_single_model(
    store: ObjectStore, checkpoint: Checkpoint, other: Checkpoint, pair_set: PairSet
) -> None:
    both = evaluate(checkpoint, pair_set, PARAMS, store, further=[other])
    with pytest.raises(SiameseError, match="is of an ensemble of 2 checkpoints"):
        register(checkpoint, both, PromotionParams(), store)


def test_the_command_takes_several_models(
    store: ObjectStore,
    checkpoint: Checkpoint,
    other: Checkpoint,
    make_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for use in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{use.upper()}_BUCKET", getattr(store.settings, f"{use}_bucket"))
    (tmp_path / "params.yaml").write_text("evaluation: {resamples: 50}\n")
    models = []
    for number, one in enumerate((checkpoint, other)):
        path = tmp_path / f"{number}.json"
        path.write_text(one.model_dump_json())
        models += ["--model", str(path)]
    folder, report = make_folder(little_scenes()[:2]), tmp_path / "report.json"
    words = ["--scenes", str(folder), "--params", str(tmp_path / "params.yaml"), "--json", str(report)]
    with pytest.raises(SystemExit) as left:
        main(["evaluate", *models, *words])
    assert left.value.code == 0
    assert "Ensemble" in capsys.readouterr().out
    assert len(Report.model_validate_json(report.read_bytes()).members) == 3
