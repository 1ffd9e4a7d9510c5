"""States how far a map may be trusted: how well its model did, on which events, and whether this map is like them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from siamese.errors import NotPublishedError, SiameseError
from siamese.ingest.catalog import read_catalog
from siamese.manifests import BuildingSet, Checkpoint, Evaluation, PairSet, Prediction, SceneCatalog, Trust
from siamese.mapping.decide import grid_of
from siamese.mapping.look import LearnedLook, learned_look
from siamese.mapping.survey import Learned
from siamese.pairs import read_splits
from siamese.params import PromotionParams
from siamese.progress import LOGGER
from siamese.store import ObjectStore
from siamese.store.manifest import MANIFEST

_FEW: Final = 20
"""A disaster type is known from this many scenes on."""
_ALIKE: Final = 0.75
"""Below this share of samples that look like the training images, the map says so."""
_TOLD: Final = 0.005
"""A smaller share would be printed as 0 %."""
_CLASSES: Final = ("no_damage", "minor_damage", "major_damage", "destroyed")


@dataclass(frozen=True)
class LearnedFrom:
    """What a network was trained on."""

    events: tuple[str, ...]
    disaster_types: dict[str, int]
    """Scenes by disaster type."""
    gsd: Learned | None
    look: LearnedLook | None = None


def learned_from(checkpoint: Checkpoint, store: ObjectStore) -> LearnedFrom | None:
    """Returns what a network was trained on; None where its pair set or catalog are gone."""
    try:
        pairs = PairSet.load(store, checkpoint.pairs)
        catalog = SceneCatalog.load(store, pairs.origin.sources["catalog"])
        splits = read_splits(store, pairs)
        rows = [row for row in read_catalog(store, catalog) if splits.get(row.scene) == "train"]
        look = learned_look(pairs, store)
    except (NotPublishedError, KeyError):
        return None
    except SiameseError as error:
        LOGGER.warning(f"what the model was trained on cannot be read: {error}")
        return None
    sides = np.array([row.pixel_m for row in rows if row.pixel_m], np.float64)
    sides = sides[np.isfinite(sides)]
    gsd = Learned(*map(float, np.percentile(sides, (5, 50, 95)))) if sides.size else None
    types = Counter(row.disaster_type or "unknown" for row in rows)
    return LearnedFrom(tuple(sorted(pairs.splits["train"].events)), dict(types), gsd, look)


def evaluation_of(checkpoint: Checkpoint, store: ObjectStore) -> Evaluation | None:
    """Returns the evaluation that says most of a network: on test rather than val, then the latest; None if none."""
    found = []
    for info in store.list(store.lake / Evaluation.kind / ""):
        if info.uri.name == MANIFEST:
            one = Evaluation.load(store, info.uri)
            if one.is_of(checkpoint) and not one.further:
                found.append(one)
    order = {"test": 2, "val": 1}
    return max(found, key=lambda one: (order.get(one.split, 0), one.created), default=None)


@lru_cache(maxsize=4)
def background(store: ObjectStore, digest: str) -> tuple[LearnedFrom | None, Evaluation | None]:
    """Returns what a network was trained on and how it was scored; kept, as a run maps many scenes with one network.

    Args:
        store: Holds them.
        digest: Of the network's Checkpoint.
    """
    try:
        checkpoint = Checkpoint.load(store, digest)
    except NotPublishedError:
        return None, None
    return learned_from(checkpoint, store), evaluation_of(checkpoint, store)


def state_trust(
    prediction: Prediction,
    buildings: BuildingSet,
    review_share: float | None,
    store: ObjectStore,
) -> Trust:
    """States how far a map may be trusted.

    Args:
        prediction: What the networks found.
        buildings: Its buildings.
        review_share: Share of the buildings that are marked for review.
        store: Holds what the networks were trained and scored on.
    """
    learned, evaluation = background(store, prediction.checkpoint)
    grid = grid_of(prediction)
    gsd = grid.side_m() if grid.crs is not None else None
    lines: list[str] = []
    scored_on, unseen = _scored_on(evaluation, learned, store)
    lines += _about_score(evaluation, scored_on, unseen, 1 + len(prediction.further))
    inside = _gsd_inside(gsd, learned)
    if inside is False and learned and learned.gsd and gsd is not None:
        span = f"{learned.gsd.low:.2g} to {learned.gsd.high:.2g} m"
        lines.append(f"its pixels of {gsd:.2g} m lie outside the {span} that the model learned")
    known = _type_known(prediction.disaster_type, learned)
    if known is False:
        lines.append(f"the model has seen fewer than {_FEW} scenes of {prediction.disaster_type}")
    if prediction.disaster_type is None:
        lines.append("nobody said what struck")
    alike = learned.look.inside(prediction.looks) if learned and learned.look else None
    if alike is not None and alike < _ALIKE and learned and learned.look:
        odd = ", ".join(learned.look.odd(prediction.looks)) or "in several ways"
        lines.append(f"{1 - alike:.0%} of its samples look unlike the images that the model was trained on ({odd})")
    unlike = buildings.reason_shares.get("unlike_training", 0.0)
    if unlike:
        lines.append(f"{unlike:.0%} of the ground looks like nothing that the model was trained on")
    if buildings.unknown_share:
        shares = {name: share for name, share in buildings.reason_shares.items() if share >= _TOLD}
        why = ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in shares.items())
        lines.append(f"{buildings.unknown_share:.0%} of the ground is unknown{f' ({why})' if why else ''}")
    if review_share is not None:
        lines.append(f"{review_share:.0%} of the buildings are for a person to look at")
    return Trust(
        evaluation=evaluation.digest if evaluation else None,
        scores=evaluation.scores if evaluation else None,
        split=evaluation.split if evaluation else None,
        scored_on=scored_on,
        unseen_events=unseen,
        trained_on=learned.events if learned else (),
        disaster_types=learned.disaster_types if learned else {},
        learned_gsd_m=(learned.gsd.low, learned.gsd.median, learned.gsd.high) if learned and learned.gsd else None,
        gsd_m=gsd,
        gsd_inside=inside,
        disaster_inside=known,
        look_inside=alike,
        unlike_share=unlike,
        review_share=review_share,
        unknown_share=buildings.unknown_share,
        reason_shares=buildings.reason_shares,
        below_floors=below_floors(evaluation) if evaluation else (),
        statements=tuple(lines),
    )


def below_floors(evaluation: Evaluation) -> tuple[str, ...]:
    """Returns the figures of an evaluation that are below the default floors of promotion."""
    floors, scores = PromotionParams(), evaluation.scores
    figures = {"localization": (scores.localization_f1, floors.minimum_localization_f1)}
    for name in _CLASSES:
        figures[name] = (getattr(scores, f"damage_f1_{name}"), getattr(floors, f"minimum_f1_{name}"))
    low = {name: pair for name, pair in figures.items() if pair[0] < pair[1]}
    return tuple(f"{name} F1 {value:.2f} is below {floor:g}" for name, (value, floor) in low.items())


def _scored_on(
    evaluation: Evaluation | None, learned: LearnedFrom | None, store: ObjectStore
) -> tuple[tuple[str, ...], bool | None]:
    """Returns the events that a network was scored on, and whether it was trained on none of them."""
    if evaluation is None:
        return (), None
    try:
        split = PairSet.load(store, evaluation.pairs).splits.get(evaluation.split)
    except NotPublishedError:
        return (), None
    events = tuple(sorted(split.events)) if split else ()
    return events, None if learned is None or not events else not set(events) & set(learned.events)


def _about_score(
    evaluation: Evaluation | None, events: tuple[str, ...], unseen: bool | None, networks: int
) -> list[str]:
    if evaluation is None:
        return ["nobody has scored this model: its errors are unknown"]
    scores = evaluation.scores
    what = "an ensemble, of which the first network alone" if networks > 1 else "a model that"
    kind = {True: "events that it had never seen", False: "events that it was trained on", None: "events"}[unseen]
    named = f" ({', '.join(events[:4])}{', …' if len(events) > 4 else ''})" if events else ""
    lines = [f"made by {what} reached a score of {scores.score:.2f} on {kind}{named}"]
    weak = [name for name in _CLASSES if getattr(scores, f"damage_f1_{name}") < 0.4]
    if weak:
        words = ", ".join(f"{name.replace('_', ' ')} {getattr(scores, f'damage_f1_{name}'):.2f}" for name in weak)
        lines.append(f"weak classes (F1): {words}")
    if unseen is False:
        lines.append("on events that it has not seen, a model scores about .3 lower")
    low = below_floors(evaluation)
    if low:
        lines.append(f"not good enough to be promoted: {'; '.join(low)}")
    return lines


def _gsd_inside(gsd: float | None, learned: LearnedFrom | None) -> bool | None:
    if gsd is None or learned is None or learned.gsd is None:
        return None
    return learned.gsd.low / 1.5 <= gsd <= learned.gsd.high * 1.5


def _type_known(disaster_type: str | None, learned: LearnedFrom | None) -> bool | None:
    if disaster_type is None or learned is None:
        return None
    return learned.disaster_types.get(disaster_type, 0) >= _FEW
