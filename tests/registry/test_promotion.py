"""Promotion: the gate, the ledger that only grows, and the alias that follows it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from builders.published_models import World, dead_server
from hypothesis import given
from hypothesis import strategies as st

from siamese.cli.app import main
from siamese.errors import SiameseError, TransientError
from siamese.manifests import Checkpoint, Scores
from siamese.params import PromotionParams
from siamese.registry import LedgerEntry, RegisteredModel, history, judge, lift, promote, read_ledger, rollback
from siamese.registry.ledger import append, folder
from siamese.store import ObjectStore

CLASSES = ("no_damage", "minor_damage", "major_damage", "destroyed")
SHARES = st.floats(0, 1)


def scores(values: list[float]) -> Scores:
    names = ("score", "localization_f1", "damage_f1", *(f"damage_f1_{name}" for name in CLASSES))
    return Scores(**dict(zip(names, values, strict=True)))


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
    finds = candidate.localization_f1 > 0
    verdict = judge(candidate, champion, params)
    assert verdict.promoted == (high_enough and gains and finds)
    assert len(verdict.reasons) == 1 + sum(floor > 0 for floor in floors) + (not finds)


def test_a_gain_of_exactly_what_is_asked_passes() -> None:
    assert judge(scores([0.3] * 7), scores([0.2] * 7), PromotionParams(minimum_gain=0.1)).promoted


def test_by_default_an_equal_score_promotes_nobody() -> None:
    same = scores([0.5] * 7)
    verdict = judge(same, same, PromotionParams())
    assert not verdict.promoted
    assert verdict.reasons[0].endswith("gain +0.0000, not the +0.0050 asked for")


@pytest.mark.parametrize("figure", range(1, 7))
def test_by_default_a_first_champion_must_have_learned_every_class(figure: int) -> None:
    good, bad = [0.5] * 7, [0.5] * 7
    bad[figure] = 0.0
    assert judge(scores(good), None, PromotionParams()).promoted
    assert judge(scores(bad), None, PromotionParams()).promoted == (figure == 2), "damage_f1 follows from the classes"


def test_a_class_that_the_split_does_not_hold_is_not_judged() -> None:
    without = scores([0.5, 0.5, 0.0, 0.5, 0.0, 0.5, 0.5])
    verdict = judge(without, None, PromotionParams(), absent=["minor_damage"])
    assert verdict.promoted
    assert "minor_damage F1 not judged: no support in the split" in verdict.reasons


def test_who_finds_no_building_is_refused_whatever_the_params(world: World) -> None:
    blind = world.registered(0.7, f1=0.0)
    decision = world.gate(blind, minimum_gain=-1)
    assert (decision.entry.kind, decision.champion) == ("reject", None)
    assert decision.entry.reasons[0] == "localization F1 0.0000: finds no building of the split"


def test_the_gate_reads_from_the_report_which_classes_the_split_holds(world: World) -> None:
    version = world.registered(0.5, absent=["destroyed"])
    entry = world.gate(version, minimum_f1_destroyed=0.3).entry
    assert entry.kind == "promote"
    assert "destroyed F1 not judged: no support in the split" in entry.reasons


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
    with pytest.raises(SiameseError, match="version 3 is banned: entry 4 took it down"):
        rollback(3, world.params, world.store)
    lift(3, "the imagery was at fault", world.params, world.store)
    assert rollback(3, world.params, world.store).champion == 3
    assert rollback(3, world.params, world.store).new is False
    assert rollback(None, world.params, world.store).champion == 1
    assert [entry.sequence for entry in history(world.params, world.store)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_what_a_rollback_took_down_is_banned_until_a_person_lifts_the_ban(world: World) -> None:
    world.promoted(0.5)
    better = world.promoted(0.8)
    rollback(None, world.params, world.store)
    refused = world.gate(better)
    assert (refused.entry.kind, refused.champion, refused.entry.comparison) == ("reject", 1, None)
    (reason,) = refused.entry.reasons
    assert "version 2 is banned: entry 3 took it down" in reason
    assert "`siamese promote --lift 2 --reason …` lifts the ban" in reason
    assert world.gate(better).new is False, "asked again, it is the same answer"
    assert world.aliases() == {"champion": 1}, "a banned version challenges nobody"
    with pytest.raises(SiameseError, match="for a reason"):
        lift(2, " ", world.params, world.store)
    with pytest.raises(SiameseError, match="version 1 is not banned"):
        lift(1, "why not", world.params, world.store)
    lifted = lift(2, "the roads were under snow", world.params, world.store).entry
    assert (lifted.kind, lifted.champion_after) == ("lift", lifted.champion_before)
    assert lifted.reasons == ("the ban on version 2 is lifted: the roads were under snow",)
    assert world.gate(better).champion == 2


def test_a_banned_network_stays_banned_under_another_number(world: World) -> None:
    world.promoted(0.5)
    better = world.promoted(0.8)
    rollback(None, world.params, world.store)
    again = world.gate(better.model_copy(update={"version": 7}))
    assert (again.entry.kind, again.champion) == ("reject", 1)
    assert again.entry.reasons[0].startswith("is the network of version 2; version 2 is banned")


def test_a_rollback_over_several_champions_bans_them_all(world: World) -> None:
    for score in (0.1, 0.2, 0.3):
        world.promoted(score)
    entry = rollback(1, world.params, world.store).entry
    assert [ban.model.version for ban in read_ledger(world.store, world.params.model).bans] == [2, 3]
    assert "version 2 is banned until `siamese promote --lift 2`" in entry.reasons


def test_a_ledger_of_version_0_1_0_is_read_and_its_rollbacks_ban(store: ObjectStore) -> None:
    for path in sorted((Path(__file__).parent / "ledger-0.1.0").iterdir()):
        store.put(folder(store, "siamese-damage") / path.name, path.read_bytes())
    ledger = read_ledger(store, "siamese-damage")
    kinds = ["promote", "promote", "reject", "rollback", "promote", "promote", "rollback"]
    assert [entry.kind for entry in ledger.entries] == kinds
    assert ledger.champion == ledger.entries[1].candidate
    assert [(ban.model.version, ban.entry.sequence) for ban in ledger.bans] == [(4, 7)]


def test_an_entry_of_a_newer_version_is_read_without_what_is_unknown(store: ObjectStore) -> None:
    path = Path(__file__).parent / "ledger-0.1.0" / "00000001.json"
    newer = json.loads(path.read_text()) | {"sequence": 1, "signature": "of a later version"}
    store.put(folder(store, "siamese-damage") / path.name, json.dumps(newer).encode())
    assert read_ledger(store, "siamese-damage").champion


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
    assert [(ban["version"], ban["entry"]) for ban in told["banned"]] == [(2, 3)]
    text = run(world, capfd, "history")
    assert "rolled back" in text
    assert "version 2 is banned: entry 3 took it down" in text.splitlines()[-1]
    assert "may promote it again" in run(world, capfd, "promote", "--lift", "2", "--reason", "seen again by two people")
    text = run(world, capfd, "history")
    assert "lift version 2; champion stays 1" in text
    assert "the ban on version 2 is lifted: seen again by two people" in text.splitlines()[-1]


def run(world: World, capfd: pytest.CaptureFixture[str], verb: str, *words: str) -> str:
    """Runs a verb of the command line on this world's buckets and model; gives what it printed."""
    params = world.folder / "params.yaml"
    params.write_text(f"promotion: {json.dumps(world.params.model_dump())}\n")
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
