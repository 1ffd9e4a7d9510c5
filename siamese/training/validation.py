"""Validation: the official score of a network on the validation split, and the decision that suits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from siamese.metrics import Counts, count_scene
from siamese.model import Decision, Prediction, Predictor, SiameseUNet, calibrate, class_raster
from siamese.pairs import PairReader, SceneEntry
from siamese.training.calibration import CalibrationEvidence, fit_temperatures
from siamese.training.fitting import Evidence, Votes, candidate_decisions, fit_votes

_CLEARLY = 0.005
"""Less of a gain in score, on a few scenes, is noise."""


def chosen_scenes(reader: PairReader, most: int) -> tuple[SceneEntry, ...]:
    """At most so many validation scenes, evenly over the split; none when it is empty."""
    scenes = reader.scenes("val")
    return tuple(scenes[number * len(scenes) // min(most, len(scenes))] for number in range(min(most, len(scenes))))


def validate(
    network: SiameseUNet,
    reader: PairReader,
    scenes: Sequence[SceneEntry],
    decisions: Sequence[Decision] = (Decision(),),
) -> tuple[Counts, ...]:
    """The official counts of a network under each of some decisions."""
    counts = [Counts() for _ in decisions]
    for scene, prediction in predictions(network, reader, scenes):
        targets = reader.targets(scene.scene)
        for number, decision in enumerate(decisions):
            classes = class_raster(calibrate(prediction, decision), decision)
            counts[number] += count_scene(classes, classes, *targets)
    return tuple(counts)


def fit_decision(network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry]) -> tuple[Counts, Decision]:
    """Temperatures that make probabilities true, then the thresholds and vote weights with the best official score.

    The default thresholds stay unless others are clearly better.

    Returns:
        The counts under that decision, and the decision.
    """
    evidence = CalibrationEvidence()
    for scene, prediction in predictions(network, reader, scenes):
        evidence.add(prediction, reader.whole(scene.scene)[2])
    tempered = fit_temperatures(evidence)
    pixels = Evidence()
    for scene, prediction in predictions(network, reader, scenes, tempered):
        pixels.add(prediction, *reader.targets(scene.scene))
    tried = [tempered.model_copy(update=_thresholds(found)) for found in candidate_decisions(pixels)]
    counts, decision = _best(network, reader, scenes, tried)
    votes = Votes()
    for scene, prediction in predictions(network, reader, scenes, tempered):
        votes.add(prediction, reader.targets(scene.scene)[1], decision)
    fitted = fit_votes(votes, decision)
    if fitted == decision:
        return counts, decision
    return _best(network, reader, scenes, (decision, fitted))


def _thresholds(decision: Decision) -> dict[str, float]:
    return {"building": decision.building, "damaged_building": decision.damaged_building}


def _best(
    network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry], decisions: Sequence[Decision]
) -> tuple[Counts, Decision]:
    counts = validate(network, reader, scenes, decisions)
    scores = [found.scores().score for found in counts]
    best = max(range(len(scores)), key=lambda number: scores[number] - (_CLEARLY if number else 0))
    return counts[best], decisions[best]


def predictions(
    network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry], decision: Decision | None = None
) -> Iterator[tuple[SceneEntry, Prediction]]:
    """What a network says of each scene, one at a time; calibrated when a decision is given."""
    predictor = Predictor(network, Decision())
    for scene in scenes:
        pre, post, _ = reader.whole(scene.scene)
        prediction = predictor.predict(pre, post, scene.disaster_type)
        yield scene, prediction if decision is None else calibrate(prediction, decision)
