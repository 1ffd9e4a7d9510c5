"""Params of ``siamese similarity``: items, networks and their training, measurement, and the gate."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from siamese.params.section import HOW_ONLY, Section

ItemKind = Literal["image", "series", "vector", "text"]
Distance = Literal["euclidean", "squared_euclidean", "manhattan", "cosine", "learned"]
LossName = Literal[
    "contrastive",
    "triplet",
    "bce",
    "multi_similarity",
    "ntxent",
    "supcon",
    "circle",
    "arcface",
    "cosface",
    "normalized_softmax",
    "proxy_anchor",
]
CLASSIFYING = frozenset({"arcface", "cosface", "normalized_softmax", "proxy_anchor"})
"""Losses that hold a weight for each class, so they need labels, not pairs."""


class ItemsParams(Section):
    """How images, series, vectors or texts become the items that a similarity model learns from."""

    kind: Literal["auto", "image", "series", "vector", "text"] = Field(
        "auto", description="What the items are; auto: by the file's form. A table of numbers is vectors, unless told."
    )
    side_px: int = Field(64, ge=8, le=1024, description="Images are resized to this side.")
    bands: Literal[0, 1, 3] = Field(0, description="1 grey, 3 colour; 0: grey if all images are.")
    sizes: Literal["resize", "pad", "refuse"] = Field(
        "resize",
        description="Images of other proportions: resize stretches them, pad keeps their proportions, refuse takes "
        "only those with the size of most.",
    )
    lengths: Literal["pad", "refuse"] = Field(
        "pad", description="Series of unequal length: pad them with nothing at the end, or refuse all but the usual."
    )
    standardize: bool = Field(
        True,
        description="Each channel of a series gets mean 0 and deviation 1. Columns of vectors always do, by the items "
        "of the train split.",
    )
    text_length: int = Field(48, ge=4, le=1024, description="Bytes of a text that are read; the rest is cut off.")
    branches: tuple[str, str] | None = Field(
        None,
        description="Names of two subfolders of each class whose images go through different encoders, e.g. "
        "[photo, sketch]; for network relation pseudo.",
    )
    split: Literal["class", "group", "item"] = Field(
        "class",
        description="What validation and test hold out. class: whole classes; group: whole folders above the classes "
        "(an alphabet); item: items of every class.",
    )
    val_share: float = Field(0.2, ge=0, lt=1, description="Share of classes (groups, items) for validation.")
    test_share: float = Field(0.2, ge=0, lt=1, description="Share of classes (groups, items) for the test.")
    seed: int = Field(1, ge=0, description="Seed of the split.")

    @model_validator(mode="after")
    def _leaves_some(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError("items.val_share and items.test_share leave nothing to train on")
        return self


class SimilarityParams(Section):
    """The network that turns an item into a vector, what it learns from, and how."""

    encoder: str = Field(
        "small",
        description="small: a convolutional network (images, series), a dense one (vectors) or one over characters "
        "(texts); or an image encoder by its timm name, e.g. vgg16, resnet50.",
    )
    width: int = Field(64, ge=4, le=1024, description="Channels of the first layers of a small network.")
    dim: int = Field(128, ge=2, le=4096, description="Length of the vector.")
    normalized: bool = Field(True, description="Vectors have length 1; the cosine distance implies it.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of features dropped before the last layer.")
    attention: bool = Field(False, description="Weight the steps of a series by attention instead of their mean.")
    pretrained: bool = Field(True, description="ImageNet weights for a timm encoder; without any at hand, random ones.")
    frozen: bool = Field(False, description="Train only the last layer of a timm encoder.")
    relation: Literal["shared", "pseudo"] = Field(
        "shared",
        description="shared: one encoder for both sides; pseudo: one each, for two kinds of input (photo, sketch).",
    )

    distance: Distance = Field(
        "euclidean", description="Between vectors; learned: a head on their absolute difference (loss: bce)."
    )
    loss: LossName = Field(
        "contrastive",
        description="contrastive (pairs), triplet, bce (learned head), or another of pytorch-metric-learning.",
    )
    margin: float = Field(0.5, gt=0, description="Of contrastive and triplet loss, in units of the distance.")
    temperature: float = Field(0.1, gt=0, le=10, description="Softness of ntxent and supcon.")
    miner: Literal["none", "hard", "semihard", "distance_weighted", "multi_similarity"] = Field(
        "none", description="Which pairs or triplets of a batch count; none: all."
    )
    threshold: Literal["eer", "f1", "far"] = Field(
        "eer",
        description="How the threshold is chosen on validation: equal error rate, best F1, a rate of false accepts.",
    )
    false_accepts: float = Field(0.01, gt=0, lt=1, description="False-accept rate asked for (threshold: far).")

    epochs: int = Field(40, gt=0, description="At most this many; one shows as many items as there are.")
    minutes: float | None = Field(None, gt=0, description="Stop after about this long, over all restarts.")
    clock: Literal["wall", "processor"] = Field(
        "wall", description="What minutes counts: wall time, or processor time, that others' work does not shorten."
    )
    seed: int = Field(1, ge=0, description="Same seed, same machine, same weights (when minutes is not set).")
    batch: int = Field(64, ge=4, le=8192, multiple_of=2, description="Items in a step.")
    per_class: int = Field(4, ge=2, le=64, description="Items of one class in a batch; the rest are of other classes.")
    one_group: bool = Field(False, description="Take the classes of a batch from one group, where they are most alike.")
    augment: float = Field(
        0.0, ge=0, le=1, description="Strength of warps, shifts, noise or typing errors that are added to items."
    )
    turned_classes: Literal["none", "turns", "turns_and_mirrors"] = Field(
        "none", description="Turned (and mirrored) images of a class are classes of their own, as for characters."
    )
    composed_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of classes in a batch that are made of two others, drawn side by side or on top of each "
        "other: new classes from old ones, for line drawings.",
    )

    learning_rate: float = Field(1e-3, gt=0, description="Peak of the schedule.")
    weight_decay: float = Field(1e-4, ge=0, description="Of all weights but biases and batch norm.")
    warmup_share: float = Field(0.05, ge=0, lt=1, description="Share of the work in which the rate rises.")
    clip_norm: float = Field(3.0, gt=0, description="Longer gradients are cut to this norm.")
    ema_decay: float | None = Field(0.99, gt=0, lt=1, description="Publish an average of the last weights.")
    validate_every: int = Field(1, ge=1, description="Epochs between two validations.")
    keep: Literal["last", "best"] = Field("last", description="Publish the last weights, or the best on validation.")

    checkpoint_seconds: float = Field(
        60.0, gt=0, description="Time between two resumable states.", json_schema_extra=HOW_ONLY
    )
    loader_threads: int = Field(1, gt=0, le=64, description="Batches prepared at once.", json_schema_extra=HOW_ONLY)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.distance == "learned") != (self.loss == "bce"):
            raise ValueError("similarity.distance=learned and similarity.loss=bce go together")
        if self.batch < 2 * self.per_class:
            raise ValueError("similarity.batch must hold two classes: at least twice similarity.per_class")
        if self.miner == "distance_weighted" and not self.normalized:
            raise ValueError("similarity.miner=distance_weighted needs similarity.normalized=true")
        return self


class SimilarityEvaluationParams(Section):
    """How a similarity model is measured."""

    split: Literal["train", "val", "test"] = Field("test", description="Which split of the items.")
    ways: int = Field(5, ge=2, le=1000, description="Classes in an episode; fewer if there are fewer.")
    shots: tuple[int, ...] = Field((1, 5), min_length=1, description="Examples of each class in an episode.")
    episodes: int = Field(200, ge=1, le=100_000, description="Episodes of each number of examples.")
    pairs: int = Field(20_000, ge=2, description="At most so many pairs of each kind are compared.")
    recall_at: tuple[int, ...] = Field((1, 5, 10), min_length=1, description="Numbers of neighbours.")
    gallery: int = Field(8, ge=0, le=64, description="Worst pairs of each kind that are shown.")
    warps: int = Field(1, ge=1, le=64, description="Average the vectors of so many small affine changes of an image.")
    seed: int = Field(1, ge=0, description="Seed of pairs and episodes.")


class SimilarityPromotionParams(Section):
    """When a similarity model becomes champion; its score is the area under the ROC curve of verification."""

    model: str = Field(
        "siamese-similarity",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Name of the registered model in MLflow.",
    )
    minimum_gain: float = Field(
        0.0, ge=-1, le=1, description="Area under the curve that a candidate must gain over the champion, at least."
    )
    minimum_auc: float = Field(0.6, ge=0, le=1, description="Floor of the area under the curve; 0.5 is chance.")
    maximum_eer: float = Field(0.5, ge=0, le=1, description="Ceiling of the equal error rate; 1 sets none.")
    minimum_one_shot: float = Field(0.0, ge=0, le=1, description="Floor of the one-shot accuracy; 0 sets none.")
