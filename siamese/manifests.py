"""Manifests of the chain's six stages, each made by one verb and used by the next, and of the verbs beside it."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Literal
from urllib.parse import quote, unquote

from pydantic import AwareDatetime, Field

from siamese.errors import NotPublishedError, SiameseError
from siamese.progress import LOGGER
from siamese.store import Blob, Manifest, ObjectStore, S3Uri, Stored, move_pointer, read_pointer
from siamese.store.manifest import MANIFEST

Split = Literal["train", "val", "test", "unlabelled"]
"""What scenes are for; unlabelled ones, which only `pretrain` looks at, are in a pair set if it was asked for them."""


class SceneCatalog(Manifest):
    """Every scene under a prefix of raw storage, accepted or not. Made by ``ingest``."""

    kind: ClassVar[str] = "catalog"
    former: ClassVar[str | None] = "ingest"
    described: ClassVar[frozenset[str]] = frozenset(
        {"inventory", "accepted", "unlabelled", "quarantined", "ignored", "buildings"}
    )

    source: str = Field(description="The prefix that was read, s3://…")
    table: Blob = Field(description="Parquet, one row a scene; columns in docs/formats.md.")
    inventory: Blob = Field(description="Parquet, one row an object or archive member: what it was taken for.")
    accepted: int = Field(ge=0, description="Scenes with labels that passed every check.")
    unlabelled: int = Field(ge=0, description="Scenes good for maps, without labels.")
    quarantined: int = Field(ge=0, description="Scenes and stray files refused, each with its reasons in the table.")
    ignored: int = Field(ge=0, description="Objects and archive members that are no data; reasons in the inventory.")
    buildings: dict[str, int] = Field(description="Buildings in accepted scenes, by xBD subtype.")


class Fingerprints(Manifest):
    """Descriptions of a catalog's images, by which twins are found. Made by ``duplicates``."""

    kind: ClassVar[str] = "fingerprints"
    described: ClassVar[frozenset[str]] = frozenset({"source", "unreadable"})

    source: str = Field(description="The prefix of the catalog.")
    shards: tuple[Blob, ...] = Field(
        description="Parquet, one row an image; those of an earlier catalog of the source are referred to, not copied."
    )
    unreadable: dict[str, str] = Field({}, description="Images that could not be described, each with the reason.")

    @property
    def series(self) -> str | None:
        """Each source has its own latest fingerprints."""
        return source_series(self.source)


class Duplicates(Manifest):
    """Scenes of a catalog that are twins: flipped, cut, or otherwise changed copies. Made by ``duplicates``."""

    kind: ClassVar[str] = "duplicates"
    described: ClassVar[frozenset[str]] = frozenset({"catalog", "images", "pairs", "sheet", "unreadable"})

    catalog: str = Field(description="Digest of the SceneCatalog.")
    images: int = Field(ge=0, description="Images that were compared.")
    count: int = Field(ge=0, description="Pairs of twins.")
    pairs: Blob = Field(description="CSV, one row a pair of images: kinds of change, confidence, and how they align.")
    groups: Blob = Field(description="CSV, the group of each scene that has twins.")
    sheet: Blob | None = Field(None, description="PNG of the least certain pairs; None without any.")
    unreadable: dict[str, str] = Field({}, description="Images that could not be compared, each with the reason.")


def source_series(source: str) -> str:
    """Returns the name under which the latest results of a source are kept."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


class SplitStatistics(Stored):
    """Statistics of one split."""

    scenes: int
    buildings: dict[str, int] = Field(description="By xBD subtype.")
    pixels: dict[str, int] = Field(description="By class name, with background and unclassified.")
    events: dict[str, int] = Field(description="Scenes by disaster.")


class PairSet(Manifest):
    """Pre/post/mask shards with an index, split into train, val and test. Made by ``pairs``."""

    kind: ClassVar[str] = "pair-set"
    former: ClassVar[str | None] = "pairs"
    described: ClassVar[frozenset[str]] = frozenset({"statistics", "assignments", "left_out", "splits"})

    index: Blob = Field(description="Parquet, one row a block; columns in docs/formats.md.")
    buildings: Blob = Field(description="Parquet, one row a building: scene, uid, subtype, pre and post polygon.")
    statistics: Blob = Field(description="CSV, one row per split and event: scenes, buildings and pixels by class.")
    assignments: Blob | None = Field(
        None, description="CSV, the split of every scene that ever had one; None before splits were kept."
    )
    left_out: tuple[str, ...] = Field(
        (),
        description="Accepted scenes that are not in the set, as they lie between scenes of two splits, or are twins "
        "of scenes in another split.",
    )
    shards: tuple[Blob, ...]
    block_px: int = Field(gt=0, description="Side of a block in pixels.")
    splits: dict[Split, SplitStatistics]


class Scores(Stored):
    """The official xView2 score and its components, each in 0..1.

    The official harmonic mean adds 1e-6 to each F1, so a perfect ``damage_f1`` is 1.000001.
    """

    score: float = Field(ge=0, le=1.00001)
    localization_f1: float = Field(ge=0, le=1)
    damage_f1: float = Field(ge=0, le=1.00001)
    damage_f1_no_damage: float = Field(ge=0, le=1)
    damage_f1_minor_damage: float = Field(ge=0, le=1)
    damage_f1_major_damage: float = Field(ge=0, le=1)
    damage_f1_destroyed: float = Field(ge=0, le=1)


class QuantizedPart(Stored):
    """One part of a network quantized to 8-bit integers, in OpenVINO's intermediate representation."""

    operations: Blob = Field(description="XML.")
    constants: Blob = Field(description="Binary: what the operations refer to.")


class Quantized(Stored):
    """A network quantized to 8-bit integers, and the effect on its results."""

    described: ClassVar[frozenset[str]] = frozenset({"source", "scenes", "before", "changed"})

    source: str = Field(description="Digest of the checkpoint that it was made from.")
    parts: tuple[QuantizedPart, ...] = Field(description="One, or two where localization looks at the pre image alone.")
    scenes: int = Field(gt=0, description="Of the train split, that the ranges of numbers were taken from.")
    before: Scores | None = Field(description="Of the source, on the validation split; None where that is empty.")
    changed: float | None = Field(
        ge=0, le=1, description="Share of validation pixels, building before or after, that got another class."
    )


class Checkpoint(Manifest):
    """A trained network. Made by ``train`` and ``quantize``."""

    kind: ClassVar[str] = "checkpoint"
    former: ClassVar[str | None] = "training"
    described: ClassVar[frozenset[str]] = frozenset(
        {"task", "curves", "pairs", "epochs", "best_epoch", "start", "minutes", "validation", "run_id"}
    )

    task: Literal["damage", "selfsupervised", "similarity"] = Field("damage", description="What it was trained for.")
    weights: Blob = Field(description="safetensors.")
    network: Blob = Field(description="JSON: all that is needed to build the network for these weights.")
    curves: Blob = Field(description="CSV, one row an epoch.")
    pairs: str = Field(description="Digest of the PairSet.")
    epochs: int
    best_epoch: int
    start: str = Field("random", description="Where the encoder's first weights came from.")
    minutes: float = Field(0, ge=0, description="Time of training, over all restarts.")
    validation: Scores | None = Field(None, description="Official scores on the validation split.")
    run_id: str | None = Field(description="MLflow run, when there was a server.")
    quantized: Quantized | None = Field(None, description="Then this runs in place of the weights.")

    @property
    def series(self) -> str | None:
        """Series of the checkpoint; each task other than damage has its own latest checkpoint."""
        return None if self.task == "damage" else self.task


class Pretraining(Manifest):
    """An encoder pre-trained on images without labels. Made by ``pretrain``."""

    kind: ClassVar[str] = "pretraining"
    described: ClassVar[frozenset[str]] = frozenset(
        {"method", "pairs", "curves", "steps", "epochs", "spread", "rank", "warning", "start", "minutes", "run_id"}
    )

    weights: Blob = Field(description="safetensors: the encoder alone, tensors named as in Encoder.state_dict().")
    encoder: str = Field(description="timm name.")
    method: Literal["simsiam", "byol", "dino"]
    bands: int = Field(gt=0, description="Of the images that it takes.")
    pairs: str = Field(description="Digest of the PairSet.")
    curves: Blob = Field(description="CSV, one row an epoch.")
    steps: int = Field(ge=1)
    epochs: int = Field(ge=1)
    spread: float = Field(ge=0, description="Of the embeddings in the last epoch; near 1 spread, 0 collapsed.")
    rank: float = Field(ge=0, description="In about how many directions the embeddings of a batch differ then.")
    warning: str | None = Field(description="What is wrong with it, e.g. that it collapsed.")
    start: str = Field(description="Where the encoder's first weights came from.")
    minutes: float = Field(ge=0, description="Time of pre-training, over all restarts.")
    run_id: str | None = Field(description="MLflow run, when there was a server.")


class Evaluation(Manifest):
    """Scores of a network on one split. Made by ``evaluate``."""

    kind: ClassVar[str] = "evaluation"
    described: ClassVar[frozenset[str]] = frozenset({"checkpoint", "further", "pairs", "plots"})

    checkpoint: str = Field(description="Digest of the Checkpoint.")
    further: tuple[str, ...] = Field(
        (), description="Digests of further Checkpoints, whose probabilities are averaged with those of the first."
    )
    pairs: str = Field(description="Digest of the PairSet.")
    split: Split
    scores: Scores
    report: Blob = Field(description="JSON: every figure behind the scores, per event and per building.")
    scenes: Blob = Field(description="CSV, one row a scene: its figures, and the counts behind the official score.")
    plots: dict[str, Blob] = Field(default_factory=dict, description="PNG, by name.")

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Returns whether this checkpoint, or another one with the same network, was scored."""
        return checkpoint.digest == self.checkpoint or checkpoint.content == self.origin.inputs.get("checkpoint")


class ItemSet(Manifest):
    """Images, series, vectors or texts for a similarity model, checked and split. Made by ``pack_items``."""

    kind: ClassVar[str] = "item-set"
    described: ClassVar[frozenset[str]] = frozenset({"source", "refused", "used", "refused_count", "classes", "notes"})

    source: str = Field(description="Folder or file that was read, as it was named.")
    item_kind: Literal["image", "series", "vector", "text"]
    shape: tuple[int, ...] = Field(description="Of one item: (H, W, bands), (channels, steps), (columns,) or (bytes,).")
    items: Blob = Field(description="Parquet, one row an item: id, class_name, group, split, branch, forged, data.")
    pairs: Blob | None = Field(None, description="Parquet: rows a and b and whether they are the same; None: classes.")
    refused: Blob = Field(description="CSV, one row an item that cannot be used: id and reason.")
    used: int = Field(ge=1, description="Items.")
    refused_count: int = Field(ge=0)
    classes: dict[Split, int] = Field(description="Classes of each split.")
    notes: tuple[str, ...] = Field((), description="What was done to items that were unlike the others.")


class SimilarityScores(Stored):
    """How well a similarity model separates classes that it has never seen; each figure in 0..1."""

    score: float = Field(ge=0, le=1, description="The area under the ROC curve again, by which the gate decides.")
    auc: float = Field(ge=0, le=1, description="Area under the ROC curve of verification.")
    eer: float = Field(ge=0, le=1, description="Rate at which false accepts and false rejects are equal.")
    false_accepts: float = Field(ge=0, le=1, description="At the model's threshold.")
    false_rejects: float = Field(ge=0, le=1, description="At the model's threshold.")
    recall_at_1: float = Field(ge=0, le=1, description="Share of items whose nearest other item is of their class.")
    one_shot: float | None = Field(None, ge=0, le=1, description="Accuracy of one-shot episodes.")


class Threshold(Stored):
    """The distance at or below which two items are the same, and what it meant on validation."""

    distance: float
    rule: Literal["eer", "f1", "far"]
    false_accepts: float = Field(ge=0, le=1)
    false_rejects: float = Field(ge=0, le=1)
    f1: float = Field(ge=0, le=1)
    pairs: int = Field(ge=0, description="Validation pairs that it was chosen on.")


class SimilarityModel(Manifest):
    """A network that turns items into vectors, with its distance and threshold. Made by ``similarity train``."""

    kind: ClassVar[str] = "similarity-model"
    described: ClassVar[frozenset[str]] = frozenset(
        {"items", "curves", "epochs", "best_epoch", "start", "minutes", "figures", "run_id"}
    )

    weights: Blob = Field(description="safetensors.")
    network: Blob = Field(description="JSON: all that is needed to build the network and to prepare its items.")
    curves: Blob = Field(description="CSV, one row an epoch.")
    items: str = Field(description="Digest of the ItemSet.")
    threshold: Threshold | None = Field(None, description="None where nothing was held out for validation.")
    epochs: int
    best_epoch: int
    start: str = Field(description="Where the first weights came from.")
    minutes: float = Field(0, ge=0, description="Time of training, over all restarts.")
    figures: dict[str, float] = Field(default_factory=dict, description="On the validation split.")
    run_id: str | None = Field(None, description="MLflow run, when there was a server.")


class SimilarityEvaluation(Manifest):
    """Figures of a similarity model on one split of an item set. Made by ``similarity evaluate``."""

    kind: ClassVar[str] = "similarity-evaluation"
    described: ClassVar[frozenset[str]] = frozenset({"model", "items", "plots"})

    model: str = Field(description="Digest of the SimilarityModel.")
    items: str = Field(description="Digest of the ItemSet.")
    split: Split
    scores: SimilarityScores
    report: Blob = Field(description="JSON: every figure.")
    plots: dict[str, Blob] = Field(default_factory=dict, description="PNG, by name.")


class ModelVersion(Manifest):
    """A checkpoint registered in MLflow. Made by ``register``."""

    kind: ClassVar[str] = "model-version"
    former: ClassVar[str | None] = "registry"
    described: ClassVar[frozenset[str]] = frozenset({"run_id", "checkpoint", "evaluation"})

    name: str
    version: int = Field(ge=1)
    run_id: str | None = Field(description="MLflow run that trained it, when there was a server.")
    checkpoint: str = Field(description="Digest of the Checkpoint.")
    evaluation: str = Field(description="Digest of the Evaluation.")
    weights_sha256: str


class PredictedBlock(Stored):
    """The network's output in one window of a map."""

    described: ClassVar[frozenset[str]] = frozenset({"key"})

    row: int = Field(ge=0, description="Counted in windows from the top.")
    col: int = Field(ge=0, description="Counted in windows from the left.")
    height: int = Field(gt=0, description="Pixels.")
    width: int = Field(gt=0, description="Pixels.")
    key: str = Field("", description="Hash of all that decides what is in it; empty where no image reaches.")
    data: Blob | None = Field(None, description="Probabilities in bytes; None where the images of a date do not reach.")
    unseen: int = Field(
        0, description="Then which dates show nothing: 1 pre, 2 post, 3 both; 8: outside the area of interest."
    )


class Prediction(Manifest):
    """A network's output for a pair of images, before any decision. Made by the first step of ``map``."""

    kind: ClassVar[str] = "prediction"
    described: ClassVar[frozenset[str]] = frozenset({"checkpoint", "further", "warnings", "seconds"})

    checkpoint: str = Field(description="Digest of the Checkpoint.")
    further: tuple[str, ...] = Field(
        (), description="Digests of further Checkpoints, whose probabilities are averaged."
    )
    seconds: float | None = Field(
        None,
        ge=0,
        description="From opening the images to the last window; None where an earlier run had predicted some windows.",
    )
    disaster_type: str | None = None
    decision: dict[str, Any] = Field(description="The checkpoint's thresholds, weights and temperatures.")
    bands: tuple[int, int] = Field(description="Of the pre and of the post image.")
    crs: str | None = Field(description="Of the grid; None: the imagery has no georeference, all is in pixels.")
    transform: tuple[float, float, float, float, float, float] = Field(
        description="Affine a b c d e f from (column, row) to coordinates of the crs."
    )
    width: int = Field(gt=0, description="Pixels.")
    height: int = Field(gt=0, description="Pixels.")
    rows: tuple[tuple[int, int], ...] = Field(
        description="First and last pixel row (exclusive) of each row of windows."
    )
    cols: tuple[tuple[int, int], ...] = Field(description="The same of columns.")
    blocks: tuple[PredictedBlock, ...] = Field(description="One for each window, row by row.")
    area: Blob | None = Field(None, description="WKB: the area of interest in pixels of the grid; None: all of it.")
    footprints: Blob | None = Field(
        None, description="Parquet: ids and outlines, in pixels of the grid, of the footprints that were given."
    )
    looks: tuple[tuple[float, ...], ...] = Field(
        (), description="Brightness, contrast, colour and sharpness of both dates in samples; siamese/mapping/look.py."
    )
    shifts: Blob | None = Field(
        None, description="GeoJSON: shift of the post images against the pre images, by blocks; None: not estimated."
    )
    warnings: tuple[str, ...] = Field((), description="What was strange about the images and tolerated.")


class BuildingSet(Manifest):
    """The buildings of a prediction: numbered, classified by vote, outlined. Made by the second step of ``map``."""

    kind: ClassVar[str] = "building-set"
    described: ClassVar[frozenset[str]] = frozenset({"prediction"})

    prediction: str = Field(description="Digest of the Prediction.")
    classes: Blob = Field(description="GeoTIFF, uint8: 0 background, 1-4 damage, 255 unknown.")
    table: Blob = Field(description="Parquet, one row a building, outlines in pixels of the grid.")
    counts: dict[str, int] = Field(description="Buildings by class.")
    unknown_share: float = Field(ge=0, le=1, description="Share of the grid, in the area of interest, that is 255.")
    reasons: Blob | None = Field(
        None, description="GeoTIFF, uint8: why each pixel is unknown, siamese/mapping/reasons.py; None before reasons."
    )
    reason_shares: dict[str, float] = Field(
        {}, description="Share of the grid, in the area of interest, that is unknown for each reason that occurs."
    )
    footprints: int | None = Field(None, description="Number of footprints that were given; None: none were.")
    shifts: Blob | None = Field(
        None, description="GeoJSON: shift of the imagery against the footprints, by blocks; None without footprints."
    )


class Trust(Stored):
    """How far a map may be trusted."""

    evaluation: str | None = Field(None, description="Digest of the model's Evaluation; None: nobody scored it.")
    scores: Scores | None = None
    split: Split | None = Field(None, description="The split that it was scored on.")
    scored_on: tuple[str, ...] = Field((), description="Events of that split.")
    unseen_events: bool | None = Field(None, description="Whether the model was trained on none of these events.")
    trained_on: tuple[str, ...] = Field((), description="Events that the model was trained on.")
    disaster_types: dict[str, int] = Field({}, description="Scenes that it was trained on, by disaster type.")
    learned_gsd_m: tuple[float, float, float] | None = Field(
        None, description="Side of the pixels that it was trained on, in metres: 5th, 50th and 95th percentile."
    )
    gsd_m: float | None = Field(None, description="Side of the map's pixels in metres; None without georeference.")
    gsd_inside: bool | None = Field(None, description="Whether that is like what was learned; None: not known.")
    disaster_inside: bool | None = Field(
        None, description="Whether the model has seen enough disasters of this type; None: not known."
    )
    look_inside: float | None = Field(
        None, ge=0, le=1, description="Share of samples that look like the training images; None: not known."
    )
    unlike_share: float = Field(0, ge=0, le=1, description="Share of the ground that looks unlike the training data.")
    review_share: float | None = Field(None, ge=0, le=1, description="Share of the buildings marked for review.")
    unknown_share: float = Field(0, ge=0, le=1, description="Share of the ground that is unknown.")
    reason_shares: dict[str, float] = Field({}, description="The same for each reason.")
    below_floors: tuple[str, ...] = Field((), description="Figures of the model that are too low for promotion.")
    statements: tuple[str, ...] = Field((), description="The same in words, one line each, for people.")


class Alignment(Stored):
    """Shift of the post images against the pre images, or of the images against given footprints."""

    blocks: int = Field(description="Blocks that were compared.")
    trusted: int = Field(description="Blocks whose shift can be trusted.")
    applied: bool = Field(description="Whether the post images were read where the shift says.")
    right_px: float | None = Field(None, description="Median over the trusted blocks, in pixels of the map.")
    down_px: float | None = None
    length_px: float | None = Field(None, description="Median length.")
    length_m: float | None = Field(None, description="The same in metres; None without georeference.")


class DamageMap(Manifest):
    """A damage map of one pair of images. Made by ``map``."""

    kind: ClassVar[str] = "damage-map"
    former: ClassVar[str | None] = "mapping"
    described: ClassVar[frozenset[str]] = frozenset(
        {"checkpoint", "further", "pre", "post", "prediction", "building_set", "warnings", "parent", "labels"}
        | {"products", "trust", "alignment", "footprint_alignment", "taken", "steps"}
    )

    event: str
    model: str = Field(description="Model name and version, or the digest of a checkpoint.")
    checkpoint: str = Field(description="Digest of the Checkpoint.")
    further: tuple[str, ...] = Field(
        (), description="Digests of further Checkpoints, whose probabilities are averaged with those of the first."
    )
    pre: tuple[str, ...] = Field(description="Images before the disaster, as they were named.")
    post: tuple[str, ...] = Field(description="Images after it.")
    taken: tuple[AwareDatetime | None, AwareDatetime | None] = Field(
        (None, None),
        description="When the first image before the disaster and the last one after it were taken; None: not known of "
        "all images of that date.",
    )
    crs: str | None = Field(description="Of the raster; None: the imagery has no georeference, all is in pixels.")
    bounds: tuple[float, float, float, float] | None = Field(description="West, south, east, north in degrees.")
    width: int = Field(gt=0, description="Pixels.")
    height: int = Field(gt=0, description="Pixels.")
    unknown_share: float = Field(ge=0, le=1, description="Share of the raster that is 255.")
    classes: Blob = Field(description="Cloud-optimised GeoTIFF, uint8: 0 background, 1-4 damage, 255 unknown.")
    buildings: Blob = Field(description="GeoParquet, one row a building: class and probabilities.")
    geojson: Blob
    picture: Blob = Field(description="PNG.")
    products: dict[str, Blob] = Field(
        {}, description="Files made from the raster and the table, by name, see docs/formats.md; empty in older maps."
    )
    counts: dict[str, int] = Field(description="Buildings by class.")
    prediction: str | None = Field(None, description="Digest of the Prediction; None before maps were made in steps.")
    building_set: str | None = Field(None, description="Digest of the BuildingSet; None before.")
    steps: dict[str, int] = Field(
        {}, description="Versions of the stages that made these two, by name; empty before they were noted."
    )
    parent: str | None = Field(None, description="Digest of the DamageMap that `adapt` started from; None of others.")
    labels: tuple[str, ...] = Field((), description="Digests of the LabelSets that it was adapted with, oldest first.")
    trust: Trust | None = Field(None, description="How far it may be trusted; None of maps from before.")
    alignment: Alignment | None = Field(None, description="How the dates were aligned; None where they were not.")
    footprint_alignment: Alignment | None = Field(
        None, description="How given footprints were aligned with the imagery; None without footprints."
    )
    warnings: tuple[str, ...] = Field((), description="What was strange about the images and tolerated.")

    @classmethod
    def current(cls, store: ObjectStore, event: str) -> DamageMap:
        """Returns the current map of an event.

        Raises:
            NotPublishedError: The event has no map.
        """
        pointer = read_pointer(store, _current(store, event))
        if pointer is None:
            raise NotPublishedError(
                "has no damage map yet", where=event, fix="run `siamese map` or the damage_map flow"
            )
        return cls.load(store, str(pointer["digest"]))

    @classmethod
    def mapped_events(cls, store: ObjectStore) -> frozenset[str]:
        """Returns the events that have a current map, in one listing of storage."""
        found = store.list(store.maps / "current" / "")
        return frozenset(unquote(info.uri.name.removesuffix(".json")) for info in found)

    @classmethod
    def current_versions(cls, store: ObjectStore) -> tuple[dict[str, int], ...]:
        """Returns for each current map the versions of the stages that made it, by name, as far as its pointer says.

        Version 0 of ``damage-map`` stands for the maps from before stages were declared.
        """
        found = (read_pointer(store, info.uri) for info in store.list(store.maps / "current" / ""))
        return tuple(pointer.get("steps", {}) | {cls.kind: pointer.get("version", 0)} for pointer in found if pointer)

    def mark_current(self, store: ObjectStore, *, new_place: bool = False) -> None:
        """Makes this the map that :meth:`current` returns for its event.

        Args:
            store: Holds the map.
            new_place: Whether the event's current map may show another place.

        Raises:
            SiameseError: The event's current map shows another place, and ``new_place`` is not set.
        """

        def change(old: dict[str, Any] | None) -> dict[str, Any]:
            if old is not None and old["digest"] != self.digest and not new_place:
                self._check_place(store, str(old["digest"]))
            return {"digest": self.digest, "version": self.origin.version, "steps": self.steps}

        move_pointer(store, _current(store, self.event), change)

    def _check_place(self, store: ObjectStore, digest: str) -> None:
        try:
            other = DamageMap.load(store, digest)
        except NotPublishedError:
            return
        if other.bounds and self.bounds:
            if not _overlap(other.bounds, self.bounds):
                what = f"its current map, {digest}, shows another place than this one, {self.digest}; it stays current"
                fix = "name this one's event with --event, or move the name with --new-place"
                raise SiameseError(what, where=self.event, fix=fix)
        elif other.pre != self.pre:
            shown = f"{digest} of {', '.join(other.pre[:1])} gives way to {self.digest} of {', '.join(self.pre[:1])}"
            LOGGER.warning(f"{self.event}: {shown}; whether both show one place is unknown without a georeference")


class MapProducts(Manifest):
    """Products of a map that were made after it was published. Made by ``report`` and ``export``."""

    kind: ClassVar[str] = "map-products"

    map: str = Field(description="Digest of the DamageMap.")
    assessment: str | None = Field(None, description="Digest of the Assessment that the report shows; None without.")
    products: dict[str, Blob] = Field(description="Files by name, as in the DamageMap.")


class MapPage(Manifest):
    """The page of a map as one file, for maps that are small enough. Made by ``export`` and the damage_map flow."""

    kind: ClassVar[str] = "map-page"

    map: str = Field(description="Digest of the DamageMap.")
    products: dict[str, Blob] = Field(description="`page`, and STAC documents that name it beside the map's files.")


class LabelSet(Manifest):
    """Damage classes that a person gave to buildings of a map. Made by ``adapt`` and ``assess``; never changed."""

    kind: ClassVar[str] = "label-set"
    described: ClassVar[frozenset[str]] = frozenset({"made", "source", "counts", "notes"})

    event: str = Field(description="Of the map.")
    scene: str | None = Field(description="The xBD scene that the map shows, e.g. joplin-tornado_00000001, if one.")
    map: str = Field(description="Digest of the DamageMap whose buildings were labelled.")
    author: str = Field(description="Who labelled; a label of another person names them in the table.")
    made: AwareDatetime = Field(description="When the labels were handed in.")
    purpose: Literal["label", "assessment"] = Field(
        description="label: chosen by people or `select`, to learn from; assessment: a random sample, to judge a map."
    )
    source: str = Field(description="The file that they were read from, as it was named.")
    crs: str | None = Field(description="Of the geometry in the table; None: pixels of the map.")
    pre: tuple[str, ...] = Field(description="The map's images before the disaster.")
    post: tuple[str, ...] = Field(description="The map's images after it.")
    table: Blob = Field(description="Parquet, one row a building; columns in docs/formats.md.")
    counts: dict[str, int] = Field(description="Labels by class.")
    notes: tuple[str, ...] = Field((), description="What was strange about the labels and tolerated.")

    @classmethod
    def every(cls, store: ObjectStore, event: str | None = None) -> tuple[LabelSet, ...]:
        """Returns all label sets on storage, of one event or of any, oldest first."""
        found = (cls.load(store, info.uri) for info in store.list(store.lake / cls.kind / "") if _is_manifest(info.uri))
        return tuple(sorted((one for one in found if event in (None, one.event)), key=lambda one: one.made))


class AssessmentSample(Manifest):
    """The buildings of a map that a person shall label to assess it, drawn at random once. Made by ``assess``."""

    kind: ClassVar[str] = "assessment-sample"

    event: str
    map: str = Field(description="Digest of the DamageMap.")
    table: Blob = Field(description="Parquet, one row a building: its stratum, and the order within it.")
    geojson: Blob = Field(description="The same buildings to label, `damage_class` empty.")
    strata: dict[str, tuple[int, int]] = Field(description="Buildings of the map and of the sample by mapped class.")
    known: int = Field(0, ge=0, description="Buildings labelled before, whose class the map has from a person.")


class Interval(Stored):
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


class ClassAssessment(Stored):
    """How right a map is about one class."""

    mapped: int = Field(description="Buildings of the map in this class.")
    labelled: int = Field(description="Labels of this class.")
    precision: Interval
    recall: Interval
    f1: Interval
    buildings: Interval = Field(description="Buildings that truly are in this class, in the whole area.")
    standard_error: float = Field(description="Of the number of buildings, design-based.")


class Assessment(Manifest):
    """How right a map is, estimated from labels of a random sample. Made by ``assess``."""

    kind: ClassVar[str] = "assessment"
    described: ClassVar[frozenset[str]] = frozenset({"sample", "labels"})

    event: str
    map: str = Field(description="Digest of the DamageMap.")
    sample: str = Field(description="Digest of the AssessmentSample.")
    labels: str = Field(description="Digest of the LabelSet.")
    buildings: int = Field(description="Buildings in the map.")
    sampled: int = Field(description="Of them drawn and labelled.")
    classes: dict[str, ClassAssessment]
    damaged: ClassAssessment = Field(description="The same of buildings with any damage.")
    accuracy: Interval
    macro_f1: Interval
    notes: tuple[str, ...] = ()


def _is_manifest(uri: S3Uri) -> bool:
    return uri.name == MANIFEST


class EmbeddingIndex(Manifest):
    """One vector for each building, image, or scene of a source. Made by ``similarity embed`` and the index flow."""

    kind: ClassVar[str] = "embedding-index"
    described: ClassVar[frozenset[str]] = frozenset({"source", "dimension", "count", "skipped"})

    vectors: Blob = Field(description="Parquet: id, vector (float32, of one length), and columns of the source's own.")
    encoder: str = Field(description="Identity of the model that made the vectors; only its vectors compare with them.")
    source: str = Field(description="What was embedded: the noun and its digest, or a folder.")
    dimension: int = Field(gt=0, description="Length of a vector.")
    count: int = Field(ge=0, description="Vectors.")
    normalized: bool = Field(description="Whether each vector has length 1.")
    parts: dict[str, tuple[int, int]] = Field(
        {}, description="First and last element (exclusive) of the parts that a vector is joined from, by name."
    )
    skipped: dict[str, str] = Field({}, description="What has no vector, and why.")


class SearchIndex(Manifest):
    """The vectors of a large index sorted into cells, so that a query looks at few. Made by ``similarity search``."""

    kind: ClassVar[str] = "search-index"
    described: ClassVar[frozenset[str]] = frozenset({"index", "seconds"})

    index: str = Field(description="Digest of the EmbeddingIndex.")
    cells: Blob = Field(description="A faiss index: the vectors in bytes, by cell.")
    scaling: Blob = Field(description="safetensors: mean and factor of each element, applied before vectors compare.")
    rows: Blob = Field(description="Parquet: the index's table without its vectors.")
    recipe: str = Field(description="How faiss names such an index.")
    dimension: int = Field(gt=0, description="Length of a vector.")
    count: int = Field(gt=0, description="Vectors.")
    seconds: float = Field(ge=0, description="Time that it took to build.")


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Returns whether two boxes in degrees overlap; west > east for a box across the antimeridian."""
    west, south, east, north = one
    left, bottom, right, top = other
    width, wide = (east - west) % 360, (right - left) % 360
    return bottom <= north and top >= south and ((left - west) % 360 <= width or (west - left) % 360 <= wide)


def _current(store: ObjectStore, event: str) -> S3Uri:
    return store.maps / "current" / f"{quote(event, safe='')}.json"
