"""Validation: the official score of a network on the validation split, and the decision that suits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from siamese.metrics import Counts, count_scene
from siamese.model import Decision, Prediction, Predictor, SiameseUNet, class_raster
from siamese.pairs import PairReader, SceneEntry
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
            classes = class_raster(prediction, decision)
            counts[number] += count_scene(classes, classes, *targets)
    return tuple(counts)


def fit_decision(network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry]) -> tuple[Counts, Decision]:
    """The decision with the best official score on some scenes; the default unless another is clearly better.

    Returns:
        The counts under that decision, and the decision.
    """
    evidence = Evidence()
    for scene, prediction in predictions(network, reader, scenes):
        evidence.add(prediction, *reader.targets(scene.scene))
    counts, decision = _best(network, reader, scenes, candidate_decisions(evidence))
    votes = Votes()
    for scene, prediction in predictions(network, reader, scenes):
        votes.add(prediction, reader.targets(scene.scene)[1], decision)
    fitted = fit_votes(votes, decision)
    if fitted == decision:
        return counts, decision
    return _best(network, reader, scenes, (decision, fitted))


def _best(
    network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry], decisions: Sequence[Decision]
) -> tuple[Counts, Decision]:
    counts = validate(network, reader, scenes, decisions)
    scores = [found.scores().score for found in counts]
    best = max(range(len(scores)), key=lambda number: scores[number] - (_CLEARLY if number else 0))
    return counts[best], decisions[best]


def predictions(
    network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry]
) -> Iterator[tuple[SceneEntry, Prediction]]:
    """What a network says of each scene, one at a time."""
    predictor = Predictor(network, Decision())
    for scene in scenes:
        pre, post, _ = reader.whole(scene.scene)
        yield scene, predictor.predict(pre, post)
