"""Measuring a similarity model, and asking it: evaluate, verify, classify, changes; the registry takes it in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from madeitems import packing, picture, quick, series, write_folder
from mlflow import MlflowClient

from siamese.cli.app import main
from siamese.embedding.encoders import SimilarityEncoder
from siamese.errors import SiameseError
from siamese.manifests import ItemSet, SimilarityEvaluation, SimilarityModel
from siamese.params import SimilarityEvaluationParams, SimilarityPromotionParams
from siamese.registry import resolve_version
from siamese.registry.similarity import (
    promote_similarity,
    register_similarity,
    resolve_similarity,
    rollback_similarity,
)
from siamese.similarity.changes import changed_pairs, peaks, series_changes
from siamese.similarity.classify import Classified, classify, verify
from siamese.similarity.data import pack_items
from siamese.similarity.data.arrays import found_in_arrays
from siamese.similarity.data.items import Found, RawItem
from siamese.similarity.distances import all_distances, pair_distances
from siamese.similarity.embedder import Embedder, load_embedder
from siamese.similarity.evaluate import evaluate_similarity, read_report
from siamese.similarity.files import pairs_to_compare, read_examples, resolve_items
from siamese.similarity.verb import train_similarity
from siamese.similarity.verification import choose_threshold, error_rates
from siamese.store import ObjectStore

EVALUATION = SimilarityEvaluationParams(episodes=20, ways=3)


@pytest.fixture(autouse=True)
def alone(no_mlflow: None, one_thread: None) -> None:
    """Nothing outside is told, unless a test says so."""


Run = Callable[..., str]


@pytest.fixture
def run(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command of ``siamese similarity`` and returns what it printed, or its error."""
    for use in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{use.upper()}_BUCKET", getattr(store.settings, f"{use}_bucket"))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["similarity", *words])
        out = capfd.readouterr()
        assert ended.value.code == code, out.err
        return out.out if not code else out.err

    return run


def trained(store: ObjectStore, root: Path, **changes: object) -> tuple[ItemSet, SimilarityModel]:
    items = pack_items(write_folder(root, classes=12), packing(), store)
    return items, train_similarity(items, quick(**changes), store)


def test_an_evaluation_holds_every_figure_and_plot(store: ObjectStore, tmp_path: Path) -> None:
    items, model = trained(store, tmp_path / "data")
    made = evaluate_similarity(model, items, EVALUATION, store)
    report = read_report(made, store)
    assert made.scores.auc > 0.9
    assert report.threshold_of == "validation"
    assert (report.classes, report.items) == (3, 18)
    assert set(report.few_shot) == {1, 5}
    assert set(report.recall_at) == {1, 5, 10}
    assert report.knn is not None
    assert report.knn > 0.8
    assert report.linear_probe is not None
    assert {pair.same for pair in report.worst} == {True, False}
    assert set(made.plots) == {"roc", "det", "distances", "pairs", "history"}
    assert all(plot.read(store).startswith(b"\x89PNG") for plot in made.plots.values())
    assert evaluate_similarity(model, items, EVALUATION, store) == made
    other = pack_items(tmp_path / "data", packing(side_px=24), store)
    assert evaluate_similarity(model, other, EVALUATION, store).scores.auc > 0.9, "images are brought to its size"
    texts = Found("text", [RawItem(f"{n} {i}", str(n), f"town {n} {i}") for n in range(8) for i in range(3)])
    with pytest.raises(SiameseError, match="holds items of kind text"):
        evaluate_similarity(model, pack_items(texts, packing(), store), EVALUATION, store)


def test_verify_and_classify_answer_and_say_none_of_these(store: ObjectStore, tmp_path: Path) -> None:
    _, model = trained(store, tmp_path / "data")
    embedder = load_embedder(store, model)
    rng = np.random.default_rng(9)
    new = {name: [picture(number, rng) for _ in range(3)] for name, number in (("p", 90), ("q", 91))}
    assert verify(embedder, new["p"][0], new["p"][1]).same
    assert not verify(embedder, new["p"][0], new["q"][1]).same
    examples = {name: own[:1] for name, own in new.items()}
    told = classify(embedder, [new["p"][1], new["q"][2]], examples)
    assert [one.class_name for one in told] == ["p", "q"]
    (stranger,) = classify(embedder, [picture(97, rng)], examples, threshold=1e-6)
    assert stranger.class_name is None
    assert stranger.nearest in ("p", "q")
    with pytest.raises(SiameseError, match="class q: has no example"):
        classify(embedder, [new["p"][1]], {"p": new["p"], "q": []})
    (same, changed) = changed_pairs(embedder, ["s", "c"], [new["p"][0]] * 2, [new["p"][1], new["q"][1]])
    assert (same.changed, changed.changed) == (False, True)


def test_changes_of_a_series_are_found_where_they_are(store: ObjectStore) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 10)
    values = np.stack([series(number, rng) for number in labels])
    found = found_in_arrays(values, labels.tolist(), packing(kind="series"))
    model = train_similarity(pack_items(found, packing(), store), quick(epochs=20), store)
    embedder = load_embedder(store, model)
    long = np.concatenate([series(0, rng, 200), series(5, rng, 200), series(2, rng, 200)])
    changes, curve = series_changes(embedder, long, window=40)
    assert len(curve) == 600
    steps = [change.step for change in changes]
    assert all(any(abs(step - true) <= 20 for step in steps) for true in (200, 400))
    with pytest.raises(SiameseError, match="fewer than two windows"):
        series_changes(embedder, long[:70], window=40)
    with pytest.raises(SiameseError, match="does not fit"):
        series_changes(embedder, long, window=41)


def test_changes_of_a_series_are_drawn_into_a_new_folder_and_take_no_second_series(
    store: ObjectStore, tmp_path: Path, run: Run
) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 4)
    values = np.stack([series(number, rng) for number in labels])
    found = found_in_arrays(values, labels.tolist(), packing(kind="series"))
    train_similarity(pack_items(found, packing(), store), quick(epochs=1), store).mark_latest(store)
    long = tmp_path / "long.npy"
    np.save(long, np.concatenate([series(0, rng, 100), series(5, rng, 100)]))
    sheet = tmp_path / "new" / "dir" / "c.png"
    run("changes", str(long), "--threshold", "0.5", "--sheet", str(sheet))
    assert sheet.read_bytes().startswith(b"\x89PNG")
    told = run("changes", str(long), "other.npy", "--threshold", "0.5", code=1)
    assert "other.npy: is not used with a model of series — leave it out" in told
    for wrong in ("nan", "inf", "-1"):
        assert f"threshold: {wrong} is no distance" in run("changes", str(long), "--threshold", wrong, code=1)


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), min_size=2, max_size=60))
def test_a_threshold_keeps_the_rate_that_is_asked_for(rows: list[tuple[float, bool]]) -> None:
    distances = np.array([row[0] for row in rows], np.float32)
    same = np.array([row[1] for row in rows])
    if same.all() or not same.any():
        return
    rates = error_rates(distances, same)
    for asked in (0.01, 0.3):
        reached = rates.false_rejects[rates.false_accepts <= asked].min() < 1
        if not reached:
            with pytest.raises(SiameseError, match="no threshold reaches"):
                choose_threshold(rates, "far", asked, len(rows))
            continue
        chosen = choose_threshold(rates, "far", asked, len(rows))
        accepted = distances[~same] <= chosen.distance
        assert accepted.mean() <= asked + 1e-9
        assert chosen.false_accepts == pytest.approx(accepted.mean())


def test_distances_agree_and_a_zero_vector_has_no_direction() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 5, 4)).astype(np.float32)
    for distance in ("euclidean", "squared_euclidean", "manhattan", "cosine"):
        whole = all_distances(one, other, distance)
        np.testing.assert_allclose(np.diag(whole), pair_distances(one, other, distance), rtol=1e-5)
    one[2] = 0
    pair_distances(one, other, "euclidean")
    with pytest.raises(SiameseError, match="vector 2: is all zeros, so it has no direction"):
        pair_distances(one, other, "cosine")
    one[1, 1] = np.nan
    with pytest.raises(SiameseError, match="vector 1: holds a NaN"):
        all_distances(one, other, "euclidean")


def test_peaks_are_apart() -> None:
    curve = np.zeros(100)
    curve[[20, 24, 60]] = [0.9, 0.8, 0.7]
    assert peaks(curve, 0.5, 10) == [20, 60]


def test_a_similarity_model_is_registered_gated_promoted_and_rolled_back(
    store: ObjectStore, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    items, weak = trained(store, tmp_path / "data", epochs=1, learning_rate=1e-6, width=4, dim=2)
    params = SimilarityPromotionParams(model=f"similarity-{secrets.token_hex(4)}", minimum_auc=0.5)
    assert weak.run_id
    first = register_similarity(weak, evaluate_similarity(weak, items, EVALUATION, store), params, store)
    assert register_similarity(weak, evaluate_similarity(weak, items, EVALUATION, store), params, store) == first
    client = MlflowClient(mlflow_server)
    logged = {item.path for item in client.list_artifacts(weak.run_id, "test")}
    assert "test/roc.png" in logged
    refused = promote_similarity(first, items, params.model_copy(update={"minimum_auc": 1.0}), EVALUATION, store)
    assert refused.entry.kind == "reject"
    assert any("below its floor 1.0000" in reason for reason in refused.entry.reasons)
    assert promote_similarity(first, items, params, EVALUATION, store).champion == 1
    strong = train_similarity(items, quick(epochs=12), store)
    scored = evaluate_similarity(strong, items, EVALUATION, store)
    second = register_similarity(strong, scored, params, store)
    ruling = promote_similarity(second, items, params, EVALUATION, store)
    assert (ruling.entry.kind, ruling.champion) == ("promote", 2)
    assert ruling.entry.comparison
    assert ruling.entry.comparison.candidate == scored.scores
    assert resolve_similarity(f"models:/{params.model}@champion", store) == strong
    assert resolve_version("1", params.model, store) == first
    back = rollback_similarity(None, params, store)
    assert (back.entry.kind, back.champion) == ("rollback", 1)
    assert promote_similarity(second, items, params, EVALUATION, store).entry.kind == "reject", "it is banned"
    assert resolve_similarity(f"models:/{params.model}@champion", store) == weak
    with pytest.raises(SiameseError, match="is of another model"):
        register_similarity(weak, scored, params, store)


def test_the_command_line_trains_measures_and_answers(
    store: ObjectStore, tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_folder(tmp_path / "data", classes=12)
    section = {"items": packing().model_dump(mode="json"), "similarity": quick().model_dump(mode="json")}
    section["similarity_evaluation"] = EVALUATION.model_dump(mode="json")
    (tmp_path / "params.yaml").write_text(json.dumps(section))

    given = ("--params", str(tmp_path / "params.yaml"))
    assert "validation auc" in run("train", str(root), *given)
    told = run("evaluate", str(root), "--plots", str(tmp_path / "plots"), *given, "--set", "items.side_px=8")
    assert "--set items.… has no effect here" in caplog.text
    assert "area under the ROC curve" in told
    assert "3-way 1-shot" in told
    assert (tmp_path / "plots" / "roc.png").is_file()
    assert SimilarityEvaluation.latest(store).items == SimilarityModel.latest(store).items
    one, two, other = (str(root / name) for name in ("class0/0.png", "class0/1.png", "class5/0.png"))
    assert run("verify", one, two).startswith("the same: distance")
    assert run("verify", one, other).startswith("not the same: distance")
    assert "class3" in run("classify", str(root / "class3" / "1.png"), "--examples", str(root))
    answers = json.loads(run("changes", str(root / "class0"), str(root / "class1"), "--json"))["pairs"]
    assert len(answers) == 6
    sheet = tmp_path / "sheet.png"
    run("changes", str(root / "class0"), str(root / "class1"), "--sheet", str(sheet))
    assert sheet.read_bytes().startswith(b"\x89PNG")
    error = run("verify", one, str(root / "gone.png"), code=1)
    assert error.strip().endswith("gone.png: cannot be read — check the path")


def few(found: Found, store: ObjectStore) -> Embedder:
    """A model of any kind that has learned little."""
    return load_embedder(store, train_similarity(pack_items(found, packing(), store), quick(epochs=1), store))


def answers(embedder: Embedder, items: list[str], examples: Path) -> list[Classified]:
    config = embedder.config
    return classify(embedder, resolve_items(items, config.item_kind), read_examples(examples, config), threshold=1e9)


def test_series_and_vectors_are_asked_by_file_or_folder_with_or_without_a_header(
    store: ObjectStore, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 4)
    for kind, header in (("series", "value\n"), ("vector", "a,b,c,d,e\n")):
        between = "\n" if kind == "series" else ","
        values = np.stack([series(n, rng, 12) if kind == "series" else rng.normal(n, 0.1, 5) for n in labels])
        embedder = few(found_in_arrays(values, labels.tolist(), packing(kind=kind)), store)
        root = tmp_path / kind
        for number in range(2):
            (root / f"k{number}").mkdir(parents=True)
            np.save(root / f"k{number}" / "a.npy", values[4 * number])
            text = between.join(map(str, values[4 * number]))
            (root / f"k{number}" / "b.csv").write_text(header * number + text + "\n")
        told = answers(embedder, [str(root / "k0"), str(root / "k1" / "b.csv")], root)
        assert [one.class_name for one in told] == ["k0", "k0", "k1"]
        np.savez(tmp_path / f"{kind}.npz", x=values, y=labels)
        assert answers(embedder, [str(root / "k1" / "a.npy")], tmp_path / f"{kind}.npz")[0].class_name == "1"
        assert verify(embedder, str(root / "k1" / "a.npy"), str(root / "k1" / "b.csv"), threshold=1e-3).same
        names, first, second = pairs_to_compare(str(root / "k0"), str(root / "k1"), embedder.config.item_kind)
        assert names == ["a.npy", "b.csv"]
        assert len(changed_pairs(embedder, names, first, second, threshold=1.0)) == 2
        with pytest.raises(SiameseError, match=f"holds no {kind} — name a folder of .csv or .npy files"):
            resolve_items([str(Path(__file__).parent)], embedder.config.item_kind)
        with pytest.raises(SiameseError, match=f"learned from items of kind {kind}; embed and search take images"):
            SimilarityEncoder(embedder.name, store)


def test_texts_are_asked_by_table(store: ObjectStore, tmp_path: Path) -> None:
    towns = [RawItem(f"{n} {i}", str(n), f"town {n} {i}") for n in range(8) for i in range(3)]
    embedder = few(Found("text", towns), store)
    (tmp_path / "a.csv").write_text("text,class\ntown 1,one\n,\ntown 2,two\n")
    assert set(read_examples(tmp_path / "a.csv", embedder.config)) == {"one", "two"}
    assert answers(embedder, ["town 2"], tmp_path / "a.csv")[0].class_name == "two"
    (tmp_path / "latin.csv").write_bytes("text,class\nMünchen,a\n".encode("latin-1"))
    with pytest.raises(SiameseError, match="not a CSV table: 'utf-8'"):
        read_examples(tmp_path / "latin.csv", embedder.config)
    with pytest.raises(SiameseError, match="is a folder, and texts lie in a table"):
        read_examples(tmp_path, embedder.config)
    (tmp_path / "pairs.csv").write_text("a,b,same\ntown 1,town 1,1\ntown 1,no hamlet,0\n")
    names, first, second = pairs_to_compare(str(tmp_path / "pairs.csv"), None, "text")
    assert names == ["town 1 | town 1", "town 1 | no hamlet"]
    same, other = changed_pairs(embedder, names, first, second, threshold=1e-4)
    assert (same.changed, other.changed) == (False, True)
    assert pairs_to_compare("a/town", "b//town", "text") == (["a/town | b//town"], ["a/town"], ["b//town"])
    with pytest.raises(SiameseError, match="lists pairs, not examples by class"):
        read_examples(tmp_path / "pairs.csv", embedder.config)
    with pytest.raises(SiameseError, match="is compared with nothing — give two texts, or a CSV"):
        pairs_to_compare("x" * 5000, None, "text")


def test_examples_are_read_as_training_data_are(store: ObjectStore, tmp_path: Path) -> None:
    _, model = trained(store, tmp_path / "data", epochs=1)
    config = load_embedder(store, model).config
    for number, place in enumerate(("ana/genuine", "ana/forged", "greek/alpha", "greek/beta", "mock/forged")):
        folder = write_folder(tmp_path / f"made{number}", classes=1, each=2) / "class0"
        (tmp_path / "known" / place).parent.mkdir(parents=True, exist_ok=True)
        folder.rename(tmp_path / "known" / place)
    known = read_examples(tmp_path / "known", config)
    assert {name: len(own) for name, own in known.items()} == {"ana": 2, "greek/alpha": 2, "greek/beta": 2}
    assert all("forged" not in str(path) for own in known.values() for path in own)
    (tmp_path / "imitations").mkdir()
    (tmp_path / "known" / "mock").rename(tmp_path / "imitations" / "mock")
    with pytest.raises(SiameseError, match="holds no example that is genuine"):
        read_examples(tmp_path / "imitations", config)
    with pytest.raises(SiameseError, match="there is no such file or folder"):
        read_examples(tmp_path / "gone", config)
    with pytest.raises(SiameseError, match="there is no such file or folder"):
        resolve_items(["x" * 5000], "image")
