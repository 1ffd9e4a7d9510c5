"""Validation: the official score of a network on the validation split, and the decision that suits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from siamese.metrics import Counts, count_scene
from siamese.model import Decision, Prediction, Predictor, SiameseUNet, class_raster
from siamese.pairs import PairReader, SceneEntry
from siamese.training.fitting import Evidence, Votes, fit_thresholds, fit_votes


def chosen_scenes(reader: PairReader, most: int) -> tuple[SceneEntry, ...]:
    """At most so many validation scenes, evenly over the split; none when it is empty."""
    scenes = reader.scenes("val")
    return tuple(scenes[number * len(scenes) // min(most, len(scenes))] for number in range(min(most, len(scenes))))


def validate(
    network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry], decision: Decision
) -> tuple[Counts, Decision]:
    """Scores a network by a decision, and fits the thresholds of the next one.

    Returns:
        The official counts, and the thresholds that would have been best.
    """
    counts, evidence = Counts(), Evidence()
    for scene, prediction in predictions(network, reader, scenes):
        localization, damage = reader.targets(scene.scene)
        classes = class_raster(prediction, decision)
        counts += count_scene(classes, classes, localization, damage)
        evidence.add(prediction, localization, damage)
    return counts, fit_thresholds(evidence)


def fit_decision(
    network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry], decision: Decision
) -> tuple[Counts, Decision]:
    """Fits vote weights for the thresholds of a decision.

    Returns:
        The official counts under the fitted decision, and that decision.
    """
    votes = Votes()
    for scene, prediction in predictions(network, reader, scenes):
        votes.add(prediction, reader.targets(scene.scene)[1], decision)
    fitted = fit_votes(votes, decision)
    return validate(network, reader, scenes, fitted)[0], fitted


def predictions(
    network: SiameseUNet, reader: PairReader, scenes: Sequence[SceneEntry]
) -> Iterator[tuple[SceneEntry, Prediction]]:
    """What a network says of each scene, one at a time."""
    predictor = Predictor(network, Decision())
    for scene in scenes:
        pre, post, _ = reader.whole(scene.scene)
        yield scene, predictor.predict(pre, post)
