"""A typed, documented model of params.yaml, which holds everything that can be tuned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from siamese.errors import SiameseError
from siamese.params.adaptation import AdaptationParams
from siamese.params.embedding import EmbeddingParams, SearchParams
from siamese.params.evaluation import EvaluationParams
from siamese.params.ingest import IngestParams
from siamese.params.mapping import BuildingParams, MappingParams, PredictParams, PublishParams
from siamese.params.network import NetworkParams
from siamese.params.pairs import PairsParams
from siamese.params.pretraining import PretrainingParams
from siamese.params.promotion import PromotionParams
from siamese.params.quantization import QuantizationParams
from siamese.params.runs import RunsParams
from siamese.params.sample import SampleParams
from siamese.params.section import Section
from siamese.params.similarity import (
    ItemsParams,
    SimilarityEvaluationParams,
    SimilarityParams,
    SimilarityPromotionParams,
)
from siamese.params.training import TrainingParams

PARAMS_FILE = Path("params.yaml")

__all__ = [
    "AdaptationParams",
    "BuildingParams",
    "EmbeddingParams",
    "EvaluationParams",
    "IngestParams",
    "ItemsParams",
    "MappingParams",
    "NetworkParams",
    "PairsParams",
    "Params",
    "PredictParams",
    "PretrainingParams",
    "PromotionParams",
    "PublishParams",
    "QuantizationParams",
    "RunsParams",
    "SampleParams",
    "SearchParams",
    "SimilarityEvaluationParams",
    "SimilarityParams",
    "SimilarityPromotionParams",
    "TrainingParams",
    "load_params",
    "parse_params",
    "read_params_file",
]


class Params(Section):
    """Everything that can be tuned; each section belongs to one verb."""

    sample: SampleParams = Field(default_factory=SampleParams)
    ingest: IngestParams = Field(default_factory=IngestParams)
    pairs: PairsParams = Field(default_factory=PairsParams)
    network: NetworkParams = Field(default_factory=NetworkParams)
    training: TrainingParams = Field(default_factory=TrainingParams)
    pretraining: PretrainingParams = Field(default_factory=PretrainingParams)
    quantization: QuantizationParams = Field(default_factory=QuantizationParams)
    evaluation: EvaluationParams = Field(default_factory=EvaluationParams)
    promotion: PromotionParams = Field(default_factory=PromotionParams)
    mapping: MappingParams = Field(default_factory=MappingParams)
    adaptation: AdaptationParams = Field(default_factory=AdaptationParams)
    embedding: EmbeddingParams = Field(default_factory=EmbeddingParams)
    search: SearchParams = Field(default_factory=SearchParams)
    items: ItemsParams = Field(default_factory=ItemsParams)
    similarity: SimilarityParams = Field(default_factory=SimilarityParams)
    similarity_evaluation: SimilarityEvaluationParams = Field(default_factory=SimilarityEvaluationParams)
    similarity_promotion: SimilarityPromotionParams = Field(default_factory=SimilarityPromotionParams)
    runs: RunsParams = Field(default_factory=RunsParams)


def load_params(path: Path = PARAMS_FILE, overrides: Iterable[str] = ()) -> Params:
    """Reads and validates params.yaml.

    Args:
        path: The file.
        overrides: Items ``section.key=value`` with a YAML value; they take precedence over the file.

    Raises:
        SiameseError: The file is missing or not YAML, a key is unknown, or a value is mistyped; names the key.
    """
    return parse_params(read_params_file(path), str(path), overrides)


def read_params_file(path: Path = PARAMS_FILE) -> bytes:
    """Reads the bytes of a params file without validating them.

    Raises:
        SiameseError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SiameseError(
            "cannot be read", where=str(path), fix="run where params.yaml lies, or pass --params"
        ) from error


def parse_params(data: bytes, where: str, overrides: Iterable[str] = ()) -> Params:
    """Parses and validates the content of a params file.

    Args:
        data: Content of the file, in YAML.
        where: Location to name in errors.
        overrides: Items ``section.key=value`` with a YAML value; they take precedence over the file.

    Raises:
        SiameseError: The content is not YAML, a key is unknown, or a value is mistyped; names the key.
    """
    try:
        tree = yaml.safe_load(data) or {}
    except yaml.YAMLError as error:
        raise SiameseError(
            f"not YAML: {' '.join(str(error).split())}", where=where, fix="mend the line it names"
        ) from error
    if not isinstance(tree, dict):
        raise SiameseError(f"not sections but {tree!r}", where=where, fix="write `section:` and its keys below it")
    tree = {section: {} if keys is None else keys for section, keys in tree.items()}
    for override in overrides:
        _set(tree, override)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "(top level)"
        fix = "`siamese params --schema` lists every key with its type"
        raise SiameseError(_wrong(first), where=f"{where}: {key}", fix=fix) from error


def _wrong(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "required"
        case "value_error":
            told = str(error["ctx"]["error"])
        case _:
            told = error["msg"]
    # A whole section is invalid when some of its keys do not fit together; the message names them.
    return told if isinstance(error["input"], dict) else f"{told}, got {error['input']!r}"


def _set(tree: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    *sections, name = key.strip().split(".")
    if not separator or not sections:
        raise SiameseError("not an override", where=repr(override), fix="write it as section.key=value")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise SiameseError(f"{section} has no keys", where=repr(override), fix="write it as section.key=value")
    try:
        tree[name] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SiameseError("its value is not YAML", where=repr(override), fix="quote it as YAML does") from error
