"""Validation: the official score of a network on the validation split, and the decision fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from siamese.metrics import Counts, count_scene
from siamese.model import Decision, Predictor, Probabilities, SiameseUNet, class_raster
from siamese.pairs import PairReader, SceneEntry
from siamese.params import TrainingParams
from siamese.training.calibration import MANY_SCENES, USUAL_TEMPERATURE, CalibrationEvidence, fit_calibration
from siamese.training.fitting import Evidence, Votes, agreed, candidate_decisions, fit_votes

_SOME_SCENES = 5
"""Number of validation scenes from which thresholds are fitted: resamples of fewer are too similar to disagree."""


def chosen_scenes(reader: PairReader, most: int) -> tuple[SceneEntry, ...]:
    """Returns up to the given number of validation scenes, spread evenly over the split; none if it is empty."""
    scenes = reader.scenes("val")
    return tuple(scenes[number * len(scenes) // min(most, len(scenes))] for number in range(min(most, len(scenes))))


def start_decision(params: TrainingParams) -> Decision:
    """Returns the decision used before anything is fitted."""
    return Decision(
        damage_temperature=USUAL_TEMPERATURE,
        building=params.building_threshold,
        damaged_building=params.damaged_threshold,
        building_peak=params.building_peak,
        growth_px=params.growth_px,
        vote_temperature=USUAL_TEMPERATURE,
        class_weights=params.vote_weights,
        minimum_px=params.minimum_core_px,
    )


def validate(
    network: SiameseUNet,
    reader: PairReader,
    scenes: Sequence[SceneEntry],
    decision: Decision,
    beat: Callable[[], None] = lambda: None,
) -> Counts:
    """Returns the official counts of a network under a decision; calls ``beat`` before each scene."""
    (counts,) = _count(network, reader, scenes, (decision,), beat)
    return sum(counts, Counts())


def fit_decision(
    network: SiameseUNet,
    reader: PairReader,
    scenes: Sequence[SceneEntry],
    start: Decision,
    beat: Callable[[], None] = lambda: None,
) -> tuple[Counts, Decision]:
    """Fits calibration, thresholds and vote weights; keeps those of ``start`` unless others are clearly better.

    More scenes allow more of it to be fitted. ``beat`` is called before each pass over a scene.

    Returns:
        The counts under the fitted decision, and that decision.
    """
    evidence = CalibrationEvidence()
    for scene, prediction in predictions(network, reader, scenes, beat):
        evidence.add(prediction, reader.whole(scene.scene)[2])
    calibrated = start.model_copy(update=fit_calibration(evidence))
    softened = calibrated.model_copy(update={"vote_temperature": calibrated.damage_temperature})
    if len(scenes) < _SOME_SCENES:
        return validate(network, reader, scenes, softened, beat), softened
    pixels = Evidence(softened)
    for scene, prediction in predictions(network, reader, scenes, beat):
        pixels.add(prediction, *reader.targets(scene.scene))
    counts, decision = _best(network, reader, scenes, candidate_decisions(pixels), beat)
    if len(scenes) < MANY_SCENES:
        return counts, decision
    votes = Votes()
    for scene, prediction in predictions(network, reader, scenes, beat):
        votes.add(prediction, reader.targets(scene.scene)[1], decision)
    fitted = fit_votes(votes, decision)
    return _best(network, reader, scenes, (decision, fitted), beat) if fitted != decision else (counts, decision)


def _best(
    network: SiameseUNet,
    reader: PairReader,
    scenes: Sequence[SceneEntry],
    decisions: Sequence[Decision],
    beat: Callable[[], None],
) -> tuple[Counts, Decision]:
    counts = _count(network, reader, scenes, decisions, beat)
    best = agreed(decisions, counts)
    return sum(counts[best], Counts()), decisions[best]


def _count(
    network: SiameseUNet,
    reader: PairReader,
    scenes: Sequence[SceneEntry],
    decisions: Sequence[Decision],
    beat: Callable[[], None],
) -> list[list[Counts]]:
    """Returns for each decision the official counts of each scene."""
    counts: list[list[Counts]] = [[] for _ in decisions]
    for scene, prediction in predictions(network, reader, scenes, beat):
        targets = reader.targets(scene.scene)
        for each, decision in zip(counts, decisions, strict=True):
            classes = class_raster(prediction, decision)
            each.append(count_scene(classes, classes, *targets))
    return counts


def predictions(
    network: SiameseUNet,
    reader: PairReader,
    scenes: Sequence[SceneEntry],
    beat: Callable[[], None] = lambda: None,
) -> Iterator[tuple[SceneEntry, Probabilities]]:
    """Yields the network's prediction for each scene, one at a time."""
    predictor = Predictor(network, Decision())
    for scene in scenes:
        beat()
        pre, post, _ = reader.whole(scene.scene)
        yield scene, predictor.predict(pre, post, scene.disaster_type).without(reader.unseen(scene.scene))
