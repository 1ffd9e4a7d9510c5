"""Quantizing through its public door: published once, run as it is, refused where it cannot be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from builders.tinytraining import NETWORK, TRAINING

from siamese.cli import main
from siamese.errors import SiameseError
from siamese.evaluation import evaluate
from siamese.manifests import Checkpoint, PairSet
from siamese.model import Predictor
from siamese.pairs import PairReader
from siamese.params import EvaluationParams, QuantizationParams
from siamese.quantization import quantize
from siamese.store import ObjectStore, S3Uri
from siamese.training import train


@pytest.fixture
def trained(store: ObjectStore, pairs: PairSet) -> Checkpoint:
    return train(pairs, NETWORK, TRAINING, store)


def test_a_quantized_network_is_a_checkpoint_of_its_own_that_runs_in_integers(
    store: ObjectStore, pairs: PairSet, trained: Checkpoint
) -> None:
    made = quantize(trained, QuantizationParams(), store)
    assert made.quantized is not None
    assert made.digest != trained.digest
    assert made.quantized.source == trained.digest
    assert made.quantized.scenes == len(PairReader(store, pairs, cache=None).scenes("train"))
    assert len(made.quantized.parts) == 2
    assert b'element_type="u8"' in made.quantized.parts[0].operations.read(store)
    assert (made.weights, made.network, made.pairs) == (trained.weights, trained.network, trained.pairs)
    assert made.quantized.changed is not None
    assert made.quantized.changed < 0.1
    assert quantize(trained, QuantizationParams(), store) == made

    integers, floats = Predictor.load(store, made), Predictor.load(store, trained)
    assert integers.backend.startswith("openvino int8")
    reader = PairReader(store, pairs, cache=None)
    for entry in reader.scenes("val"):
        pre, post, _ = reader.whole(entry.scene)
        ours, theirs = (one.predict(pre, post, entry.disaster_type) for one in (integers, floats))
        assert 0 < np.abs(ours.building - theirs.building).mean() < 0.03
        assert np.abs(ours.damage - theirs.damage).mean() < 0.03
    scored = evaluate(made, pairs, EvaluationParams(split="val"), store)
    assert scored.checkpoint == made.digest
    assert scored.scores == made.validation


def test_a_network_that_finds_buildings_in_both_dates_is_one_part(store: ObjectStore, pairs: PairSet) -> None:
    network = NETWORK.model_copy(update={"localization": "fused", "localization_channels": NETWORK.decoder_channels})
    made = quantize(train(pairs, network, TRAINING, store), QuantizationParams(scenes=2), store)
    assert made.quantized is not None
    assert (len(made.quantized.parts), made.quantized.scenes) == (1, 2)


def test_what_cannot_be_done_is_told_in_one_line(
    store: ObjectStore, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "nncf", None)
        with pytest.raises(SiameseError, match="nncf is not installed — pip install"):
            quantize(trained, QuantizationParams(), store)
    made = quantize(trained, QuantizationParams(), store)
    with pytest.raises(SiameseError, match=f"quantized already — it was made from checkpoint {trained.digest}"):
        quantize(made, QuantizationParams(), store)
    with pytest.raises(SiameseError, match="PyTorch cannot run a quantized network"):
        Predictor.load(store, made, backend="torch")
    assert made.quantized is not None
    part = made.quantized.parts[1]
    whole = part.constants.read(store)
    store.put(S3Uri.parse(part.constants.uri), whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SiameseError, match="is not what was published"):
        Predictor.load(store, made)


def test_the_command_tells_both_scores_and_the_outcome_goes_on_along_the_chain(
    store: ObjectStore, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("home", "raw_bucket", "lake_bucket", "maps_bucket"):
        monkeypatch.setenv(f"SIAMESE_{name.upper()}", str(getattr(store.settings, name)))
    trained.mark_latest(store)
    out = tmp_path / "int8.json"
    with pytest.raises(SystemExit) as ended:
        main(["quantize", "--out", str(out)])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "before" in shown
    assert "building pixels whose class changed" in shown
    assert "nncf" not in shown
    with pytest.raises(SystemExit):
        main(["quantize", "--model", trained.digest, "--json"])
    made = json.loads(capsys.readouterr().out)
    assert made["quantized"]["source"] == trained.digest
    assert made["origin"]["digest"] == json.loads(out.read_text())["origin"]["digest"]
    assert Checkpoint.latest(store).digest == made["origin"]["digest"]


def test_the_help_names_the_extra_that_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["quantize", "--help"])
    assert "'siamese[int8]'" in capsys.readouterr().out
