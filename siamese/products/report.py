"""What a map's report says, whatever it is printed on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from matplotlib.figure import Figure

from siamese.classes import COLOURS, DAMAGE_CLASSES
from siamese.manifests import Assessment, Interval
from siamese.products.chips import Chip, encode_jpeg
from siamese.products.facts import MapFacts
from siamese.products.known_error import DAMAGED, ROWS
from siamese.products.summary import AreaSummary, Summary, worst_areas

_OVERVIEW_PX: Final = 1400
_WORST: Final = 10
_DPI: Final = 150
_INK: Final = "#263238"


HATCHED: Final = "Hatched ground is unknown, or was not mapped."
"""Caption of the overview."""


@dataclass(frozen=True)
class CountRow:
    """One class in the table of counts."""

    name: str
    colour: str
    """``#rrggbb``."""
    mapped: str
    share: str
    estimate: str


@dataclass(frozen=True)
class AreaRow:
    """One of the worst areas."""

    area: str
    buildings: str
    destroyed: str
    damaged: str
    share: str
    estimate: str


@dataclass(frozen=True)
class ChipCell:
    """A building in pictures."""

    before: bytes
    after: bytes
    caption: str
    building: str
    colour: str


@dataclass(frozen=True)
class Report:
    """The content of a report; all texts are plain text, never markup."""

    title: str
    subtitle: str
    headlines: tuple[tuple[str, str], ...]
    """What it counts, in large print, and what that is."""
    overview: bytes
    """JPEG."""
    chart: bytes
    """PNG."""
    counts: tuple[CountRow, ...]
    basis: str
    warnings: tuple[str, ...]
    areas: tuple[AreaRow, ...]
    areas_told: str
    """What the areas are; may be empty."""
    chips: tuple[ChipCell, ...]
    assessment: tuple[tuple[str, str], ...]
    """Figures by name; empty without an assessment."""
    limits: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]


def compose(
    facts: MapFacts,
    summary: Summary,
    picture: bytes,
    chips: Sequence[Chip] = (),
    assessment: Assessment | None = None,
) -> Report:
    """Composes the report of a map.

    Args:
        facts: What is known of the map.
        summary: What it counts.
        picture: Its picture, PNG.
        chips: Sample buildings; none where the images are gone.
        assessment: What a person found out about its quality.
    """
    made = facts.map
    rows = tuple(_count_row(name, summary) for name in (*ROWS, "unknown"))
    dates = " and ".join(f"{one:%-d %B %Y}" for one in (facts.pre_date, facts.post_date) if one is not None)
    taken = f"images of {dates}" if dates else "dates of the images not known"
    # What is wrong with this very map comes first: paper has room for few lines.
    warnings = (*made.warnings, *(made.trust.statements if made.trust else ()))
    return Report(
        title=made.event,
        subtitle=f"Building damage map · {taken} · by {made.model}",
        headlines=_headlines(summary, assessment),
        overview=_overview(picture),
        chart=_chart(summary),
        counts=rows,
        basis=f"Intervals (95 %) rest on {summary.basis}. Unknown buildings are in no estimate.",
        warnings=warnings,
        areas=tuple(_area_row(row) for row in worst_areas(summary.areas, _WORST)),
        areas_told=summary.cells,
        chips=tuple(_chip_cell(one) for one in chips),
        assessment=_assessment(assessment),
        limits=_limits(facts, summary),
        provenance=_provenance(facts),
    )


def _headlines(summary: Summary, assessment: Assessment | None) -> tuple[tuple[str, str], ...]:
    whole = summary.whole
    damaged, destroyed, how = whole.estimates[DAMAGED], whole.estimates["destroyed"], "95 % interval"
    if assessment is not None:
        # People looked at a random sample of this very map: that beats what the model is known for elsewhere.
        damaged, destroyed = assessment.damaged.buildings, assessment.classes["destroyed"].buildings
        how = "assessed, 95 % interval"
    return (
        (f"{whole.buildings:,}", "buildings mapped"),
        (_range(damaged), f"damaged, {how} (mapped: {_damaged(whole):,})"),
        (_range(destroyed), f"destroyed, {how} (mapped: {whole.mapped['destroyed']:,})"),
        (f"{whole.mapped['unknown']:,}", "unknown: could not be judged"),
        (f"{whole.review:,}", "should be looked at by a person"),
    )


def _count_row(name: str, summary: Summary) -> CountRow:
    whole = summary.whole
    mapped = _damaged(whole) if name == DAMAGED else whole.mapped[name]
    share = mapped / whole.buildings if whole.buildings else 0.0
    one = whole.estimates.get(name)
    told = "—" if one is None else f"{one.estimate:,.0f} ({_range(one)})"
    label = "any damage" if name == DAMAGED else name.replace("_", " ")
    return CountRow(label, _hex(name), f"{mapped:,}", f"{share:.1%}", told)


def _area_row(row: AreaSummary) -> AreaRow:
    damaged = _damaged(row)
    return AreaRow(
        row.area,
        f"{row.buildings:,}",
        f"{row.mapped['destroyed']:,}",
        f"{damaged:,}",
        f"{row.damaged_share:.0%}",
        _range(row.estimates[DAMAGED]),
    )


def _chip_cell(one: Chip) -> ChipCell:
    sure = "" if one.confidence is None else f", {one.confidence:.0%} sure"
    return ChipCell(
        one.before, one.after, one.damage_class.replace("_", " ") + sure, one.building, _hex(one.damage_class)
    )


def _assessment(found: Assessment | None) -> tuple[tuple[str, str], ...]:
    if found is None:
        return ()
    lines = [
        ("Labelled sample", f"{found.sampled:,} of {found.buildings:,} buildings, drawn at random by mapped class"),
        ("Accuracy", _percent(found.accuracy)),
        ("Mean F1 of the classes", _percent(found.macro_f1)),
        ("Buildings with any damage", _range(found.damaged.buildings)),
    ]
    for name in DAMAGE_CLASSES:
        one = found.classes[name]
        told = f"precision {_percent(one.precision)}, recall {_percent(one.recall)}; {_range(one.buildings)} buildings"
        lines.append((name.replace("_", " ").capitalize(), told))
    return tuple(lines)


def _limits(facts: MapFacts, summary: Summary) -> tuple[str, ...]:
    made = facts.map
    limits = [
        "Damage is seen from above only: walls, interiors and flooding below a roof do not show. The map is no "
        "engineering assessment, and a building it calls undamaged may be unsafe.",
        "Classes follow the Joint Damage Scale of xBD: no damage, minor, major, destroyed. Minor and major damage are "
        "confused most often.",
        f"{made.unknown_share:.1%} of the ground is unknown: it is not shown on both dates, or could not be judged. "
        "Unknown is not undamaged.",
    ]
    if not summary.evaluated:
        limits.append("The model was not evaluated on labelled buildings: its intervals are likely to be too narrow.")
    elif facts.score and not facts.score.get("unseen_events"):
        limits.append("The model was evaluated on disasters that it was trained on; on a new one it is worse.")
    if made.crs is None:
        limits.append("The images have no georeference: places are pixels, areas of ground are not known.")
    if not facts.post_date:
        limits.append("The dates of the images are not known; damage may be older than the event, or repaired since.")
    return tuple(limits)


def _provenance(facts: MapFacts) -> tuple[tuple[str, str], ...]:
    made = facts.map
    lines = [("Map", f"{made.digest}, {made.width:,} x {made.height:,} pixels, {made.crs or 'no georeference'}")]
    if facts.km2:
        lines.append(("Ground", f"{facts.km2:,.2f} km²"))
    lines.append(("Model", made.model))
    if facts.score:
        told = (
            f"xView2 score {facts.score['score']:.3f} on {facts.score['scenes']} scenes, split {facts.score['split']}"
        )
        unseen = facts.score.get("unseen_events") or {}
        for event, score in list(unseen.items())[:3]:
            told += f"; unseen {event} {score:.3f}"
        lines.append(("Its score", told))
    lines += [(f"Images {date}", _listed(names)) for date, names in (("before", made.pre), ("after", made.post))]
    if made.labels:
        lines.append(("Labels by people", _listed(made.labels)))
    lines += [(f"Step {step}", told) for step, told in facts.code.items()]
    return tuple(lines)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _damaged(row: AreaSummary) -> int:
    return sum(row.mapped[name] for name in DAMAGE_CLASSES[1:])


def _range(one: Interval) -> str:
    low, high = f"{one.low:,.0f}", f"{one.high:,.0f}"
    return low if low == high else f"{low} to {high}"


def _percent(one: Interval) -> str:
    return f"{one.estimate:.0%} ({one.low:.0%} to {one.high:.0%})"


def _hex(name: str) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[name]) if name in COLOURS else _INK


def _overview(picture: bytes) -> bytes:
    image = np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    factor = _OVERVIEW_PX / max(image.shape[:2])
    if factor < 1:
        size = round(image.shape[1] * factor), round(image.shape[0] * factor)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_jpeg(image, quality=88)


def _chart(summary: Summary) -> bytes:
    """Draws mapped numbers as bars and estimates as points with intervals."""
    names = [*DAMAGE_CLASSES, "unknown"]
    figure = Figure(figsize=(6.2, 2.3), dpi=_DPI, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    whole = summary.whole
    places = np.arange(len(names))[::-1]
    axes.barh(places, [whole.mapped[name] for name in names], color=[_hex(name) for name in names], height=0.62)
    for place, name in zip(places, names, strict=True):
        if one := whole.estimates.get(name):
            off = [[one.estimate - one.low], [one.high - one.estimate]]
            axes.errorbar(one.estimate, place, xerr=off, fmt="o", color=_INK, ms=4, capsize=4, lw=1.4)
    axes.set_yticks(places, [name.replace("_", " ") for name in names], color=_INK)
    axes.set_xlabel("buildings: bars as mapped, points as estimated with 95 % interval", color=_INK, fontsize=8)
    axes.tick_params(labelsize=8, colors=_INK)
    axes.set_xlim(left=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
