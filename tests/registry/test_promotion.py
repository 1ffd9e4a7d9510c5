"""Promotion: the gate, the ledger that only grows, and the alias that follows it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_models import World, dead_server

from siamese.cli.app import main
from siamese.errors import SiameseError, TransientError
from siamese.manifests import Checkpoint, Scores
from siamese.params import PromotionParams
from siamese.registry import LedgerEntry, RegisteredModel, history, judge, promote, read_ledger, rollback
from siamese.registry.ledger import append, folder

SHARES = st.floats(0, 1)


def scores(values: list[float]) -> Scores:
    names = ("score", "localization_f1", "damage_f1", *(f"damage_f1_{name}" for name in CLASSES))
    return Scores(**dict(zip(names, values, strict=True)))


CLASSES = ("no_damage", "minor_damage", "major_damage", "destroyed")
ALL_SCORES = st.lists(SHARES, min_size=7, max_size=7).map(scores)


@given(ALL_SCORES, st.none() | ALL_SCORES, SHARES, st.lists(SHARES, min_size=5, max_size=5))
def test_the_gate_lets_through_exactly_what_gains_enough_and_reaches_every_floor(
    candidate: Scores, champion: Scores | None, gain: float, floors: list[float]
) -> None:
    names = ("minimum_localization_f1", *(f"minimum_f1_{name}" for name in CLASSES))
    params = PromotionParams(minimum_gain=gain, **dict(zip(names, floors, strict=True)))
    reached = [candidate.localization_f1, *(getattr(candidate, f"damage_f1_{name}") for name in CLASSES)]
    high_enough = all(value >= floor - 1e-9 for value, floor in zip(reached, floors, strict=True))
    gains = champion is None or candidate.score - champion.score >= gain - 1e-9
    verdict = judge(candidate, champion, params)
    assert verdict.promoted == (high_enough and gains)
    assert len(verdict.reasons) == 1 + sum(floor > 0 for floor in floors)


def test_a_gain_of_exactly_what_is_asked_passes() -> None:
    assert judge(scores([0.3] * 7), scores([0.2] * 7), PromotionParams(minimum_gain=0.1)).promoted


def test_the_first_champion_needs_only_the_floors(world: World) -> None:
    weak = world.registered(0.3, f1=0.1)
    decision = world.gate(weak, minimum_f1_destroyed=0.2)
    assert (decision.entry.kind, decision.champion, world.aliases()) == ("reject", None, {"challenger": 1})
    assert any("destroyed F1 0.1000, below its floor 0.2000" in reason for reason in decision.entry.reasons)
    strong = world.registered(0.2, f1=0.3)
    decision = world.gate(strong, minimum_f1_destroyed=0.2)
    assert (decision.entry.kind, decision.champion) == ("promote", 2)
    assert world.aliases() == {"champion": 2, "challenger": 1}


def test_a_decision_is_written_with_all_its_figures(world: World) -> None:
    first = world.promoted(0.5)
    second = world.registered(0.56)
    entry = world.gate(second).entry
    assert (entry.sequence, entry.kind, entry.model) == (2, "promote", world.params.model)
    assert entry.champion_before == RegisteredModel(
        version=1, checkpoint=first.checkpoint, weights_sha256=first.weights_sha256
    )
    assert entry.champion_after == entry.candidate
    compared = entry.comparison
    assert compared
    assert compared.champion
    assert (compared.pairs, compared.split) == (world.pairs.digest, "test")
    assert (compared.candidate.score, compared.champion.score) == (0.56, 0.5)
    assert compared.thresholds["minimum_gain"] == 0.05
    assert "gain +0.0600, at least the +0.0500 asked for" in entry.reasons[0]
    assert "@" in entry.who
    stored = json.loads(world.store.get(folder(world.store, world.params.model) / "00000002.json"))
    assert LedgerEntry.model_validate(stored) == entry
    assert world.aliases() == {"champion": 2}


def test_too_small_a_gain_is_rejected_and_written_down_once(world: World) -> None:
    world.promoted(0.5)
    close = world.registered(0.53)
    first, again = world.gate(close), world.gate(close)
    assert (first.entry.kind, first.new, again.new) == ("reject", True, False)
    assert first.entry == again.entry
    assert world.aliases() == {"champion": 1, "challenger": 2}
    assert world.gate(close, minimum_gain=0.01).entry.kind == "promote", "other thresholds are another question"
    assert [entry.sequence for entry in history(world.params, world.store)] == [1, 2, 3]


def test_who_is_champion_already_writes_no_entry(world: World) -> None:
    version = world.promoted(0.5)
    decision = world.gate(version)
    assert (decision.new, decision.entry.sequence, decision.champion) == (False, 1, 1)
    assert len(history(world.params, world.store)) == 1


def test_of_many_that_promote_at_once_each_is_judged_against_the_outcome_before(world: World) -> None:
    world.promoted(0.1)
    candidates = [world.registered(score) for score in (0.3, 0.5, 0.7, 0.9)]
    with ThreadPoolExecutor(4) as pool:
        decisions = list(pool.map(world.gate, candidates))
    entries = history(world.params, world.store)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    for before, after in pairwise(entries):
        assert after.champion_before == before.champion_after
        assert after.comparison
        assert after.comparison.champion
        gain = after.comparison.candidate.score - after.comparison.champion.score
        assert (gain >= 0.05) == (after.kind == "promote")
    assert {decision.entry.sequence for decision in decisions} == {2, 3, 4, 5}
    assert entries[-1].champion_after
    assert entries[-1].champion_after.version == candidates[-1].version
    assert world.aliases()["champion"] == candidates[-1].version


def test_a_crash_between_entry_and_alias_is_healed_by_the_next_call(world: World) -> None:
    first, second = world.promoted(0.5), world.promoted(0.6)
    ledger = read_ledger(world.store, world.params.model)
    named = ledger.entries[0].candidate
    append(
        world.store,
        ledger.entries[1].model_copy(
            update={"sequence": 3, "kind": "rollback", "candidate": named, "champion_after": named, "comparison": None}
        ),
    )
    assert world.aliases()["champion"] == second.version
    assert world.gate(first).new is False
    assert world.aliases()["champion"] == first.version


def test_an_alias_moved_by_hand_is_moved_back(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.promoted(0.5)
    world.registered(0.51)
    world.client.set_registered_model_alias(world.params.model, "champion", "2")
    assert run(world, capfd, "history")
    assert world.aliases() == {"champion": 1, "challenger": 2}


def test_weights_that_changed_are_refused_and_nothing_is_written(world: World) -> None:
    champion = world.promoted(0.5)
    candidate = world.registered(0.9)
    world.damage_weights(candidate)
    with pytest.raises(SiameseError, match="do not match their registered sha256"):
        world.gate(candidate)
    world.promoted(0.7)
    world.damage_weights(champion)
    with pytest.raises(SiameseError, match="do not match their registered sha256"):
        rollback(None, world.params, world.store)
    assert len(history(world.params, world.store)) == 2
    assert world.aliases()["champion"] == 3


def test_a_champion_that_was_trained_on_test_scenes_is_told_of_in_the_entry(world: World) -> None:
    trained = world.on({"a_1": "train", "a_2": "val", "a_3": "test", "a_4": "train"})
    champion = Checkpoint.load(world.store, trained.promoted(0.5).checkpoint)
    fair = trained.registered(0.51)
    assert not [reason for reason in trained.gate(fair).entry.reasons if "training data" in reason]
    later = world.on({"a_1": "test", "a_2": "test", "a_3": "test", "a_4": "train", "a_5": "test"})
    later.evaluate(champion, 0.5, 0.5)
    entry = later.gate(later.registered(0.6)).entry
    told = "2 of 4 test scenes were in the champion's training data: its score is optimistic"
    assert [reason for reason in entry.reasons if "training data" in reason] == [told]
    again = trained.registered(0.9)
    later.evaluate(Checkpoint.load(world.store, again.checkpoint), 0.9, 0.5)
    assert any("in the candidate's training data" in reason for reason in later.gate(again).entry.reasons)


def test_rollback_is_an_entry_and_goes_back_step_by_step(world: World) -> None:
    for score in (0.1, 0.2, 0.3):
        world.promoted(score)
    back = rollback(None, world.params, world.store)
    assert (back.entry.kind, back.entry.sequence, back.champion) == ("rollback", 4, 2)
    assert world.aliases()["champion"] == 2
    assert rollback(None, world.params, world.store).champion == 1
    with pytest.raises(SiameseError, match="no champion to roll back to"):
        rollback(None, world.params, world.store)
    assert rollback(3, world.params, world.store).champion == 3
    assert rollback(3, world.params, world.store).new is False
    assert rollback(None, world.params, world.store).champion == 1
    assert [entry.sequence for entry in history(world.params, world.store)] == [1, 2, 3, 4, 5, 6, 7]


def test_rollback_only_goes_to_a_former_champion(world: World) -> None:
    with pytest.raises(SiameseError, match="no champion to roll back to"):
        rollback(None, world.params, world.store)
    world.promoted(0.5)
    rejected = world.registered(0.4)
    world.gate(rejected)
    for version in (rejected.version, 99):
        with pytest.raises(SiameseError, match=f"version {version} was never champion"):
            rollback(version, world.params, world.store)


def test_nothing_is_decided_while_mlflow_is_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version = world.registered(0.5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server())
    with pytest.raises(TransientError, match="does not answer"):
        world.gate(version)
    with pytest.raises(TransientError, match="does not answer"):
        rollback(None, world.params, world.store)
    assert history(world.params, world.store) == ()


def test_a_version_of_another_model_is_refused(world: World) -> None:
    version = world.registered(0.5)
    other = world.params.model_copy(update={"model": "another"})
    with pytest.raises(SiameseError, match="is a version of"):
        promote(version, world.pairs, other, world.evaluation, world.store)


def test_a_ledger_with_a_gap_is_not_trusted(world: World) -> None:
    for score in (0.1, 0.2, 0.3):
        world.promoted(score)
    second = folder(world.store, world.params.model) / "00000002.json"
    world.store.client.delete_object(Bucket=second.bucket, Key=second.key)
    with pytest.raises(SiameseError, match="gap"):
        history(world.params, world.store)


def test_the_command_line_promotes_rolls_back_and_tells(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.promoted(0.5)
    world.registered(0.6)
    told = json.loads(run(world, capfd, "promote", "2", "--json"))
    assert (told["new"], told["entry"]["kind"], told["entry"]["candidate"]["version"]) == (True, "promote", 2)
    assert "version 1 is champion" in run(world, capfd, "rollback", "--to", "1")
    told = json.loads(run(world, capfd, "history", "--json"))
    assert [entry["kind"] for entry in told["entries"]] == ["promote", "promote", "rollback"]
    text = run(world, capfd, "history")
    assert "rolled back" in text


def run(world: World, capfd: pytest.CaptureFixture[str], verb: str, *words: str) -> str:
    """Runs a verb of the command line on this world's buckets and model; gives what it printed."""
    params = world.folder / "params.yaml"
    params.write_text(f"promotion: {{model: {world.params.model}, minimum_gain: 0.05}}\n")
    settings = world.store.settings
    with pytest.MonkeyPatch.context() as patch:
        for name in ("raw", "lake", "maps"):
            patch.setenv(f"SIAMESE_{name.upper()}_BUCKET", getattr(settings, f"{name}_bucket"))
        patch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([verb, *words, "--params", str(params)])
    out = capfd.readouterr()
    assert ended.value.code == 0, out.err
    return out.out
