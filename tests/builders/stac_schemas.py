"""Holds STAC documents against the schema of STAC and against every extension that they declare, without a network."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
from referencing import Registry, Resource

from siamese.products.model_item import MLM
from siamese.products.stac import PROCESSING, STAC_VERSION

_FOLDER: Final = Path(__file__).parents[1] / "products" / "schemas"
_KINDS: Final = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}
_PREFIXED: Final = {"proj": "projection"}
"""Extensions whose fields begin otherwise than with the name in their address."""
_TEXT: Final = {"type": "string", "minLength": 1}
_COUNT: Final = {"type": "integer", "minimum": 0}


def _fields(prefix: str, **known: object) -> dict[str, Any]:
    """Fields of an extension by their names after its prefix; it has no others."""
    return {
        "properties": {f"{prefix}:{name}": rule for name, rule in known.items()},
        "patternProperties": {f"^(?!{prefix}:)": {}},
        "additionalProperties": False,
    }


_PROCESSING: Final = _fields(
    "processing",
    expression={"type": "object", "required": ["format", "expression"], "properties": {"format": _TEXT}},
    facility=_TEXT,
    level={"type": "string", "pattern": "^(RAW|L[0-4][A-C]?)$"},
    lineage=_TEXT,
    software={"type": "object", "minProperties": 1, "additionalProperties": _TEXT},
    version=_TEXT,
    datetime={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"},
)
_TASKS: Final = {
    "type": "array",
    "minItems": 1,
    "uniqueItems": True,
    "items": {
        "enum": [
            *("regression", "classification", "scene-classification", "detection", "object-detection", "segmentation"),
            *("semantic-segmentation", "instance-segmentation", "panoptic-segmentation", "similarity-search"),
            *("generative", "image-captioning", "super-resolution", "downscaling"),
        ]
    },
}
_TENSOR: Final = {
    "type": "object",
    "required": ["shape", "dim_order", "data_type"],
    "properties": {
        "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": -1}},
        "dim_order": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": "^[a-z_-]+$"},
            # This dimension asks for the names of bands.
            "not": {"contains": {"const": "bands"}},
        },
        "data_type": {"enum": ["uint8", "uint16", "int16", "int32", "float16", "float32", "float64"]},
    },
}
_SCALING: Final = {
    "type": "object",
    "required": ["type", "minimum", "maximum"],
    "properties": {"type": {"const": "min-max"}, "minimum": {"type": "number"}, "maximum": {"type": "number"}},
}
_CLASS: Final = {
    "type": "object",
    "required": ["value", "name"],
    "properties": {
        "value": {"type": "integer"},
        "name": {"type": "string", "pattern": "^[0-9A-Za-z_-]+$"},
        "color_hint": {"type": "string", "pattern": "^[0-9A-F]{6}$"},
    },
}
_MODEL: Final = _fields(
    "mlm",
    name={"type": "string", "pattern": r"^[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]$"},
    architecture=_TEXT,
    tasks=_TASKS,
    framework={"type": "string", "pattern": r"^(?=[^\s._\-]).*[^\s._\-]$"},
    framework_version={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
    memory_size=_COUNT,
    total_parameters=_COUNT,
    pretrained={"type": "boolean"},
    pretrained_source={"type": ["string", "null"]},
    batch_size_suggestion=_COUNT,
    accelerator={"enum": ["amd64", "cuda", "xla", "amd-rocm", "intel-ipex-cpu", "intel-ipex-gpu", "macos-arm", None]},
    accelerator_constrained={"type": "boolean"},
    accelerator_summary=_TEXT,
    accelerator_count={"type": "integer", "minimum": 1},
    hyperparameters={
        "type": "object",
        "minProperties": 1,
        "patternProperties": {"^[0-9a-zA-Z_.-]+$": {}},
        "additionalProperties": False,
    },
    input={
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["name", "input"],
            "properties": {
                "name": _TEXT,
                "bands": {"type": "array"},
                "input": _TENSOR,
                "description": _TEXT,
                "value_scaling": {"type": ["array", "null"], "minItems": 1, "items": _SCALING},
            },
        },
    },
    output={
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["name", "tasks", "result"],
            "properties": {
                "name": _TEXT,
                "tasks": _TASKS,
                "result": _TENSOR,
                "description": _TEXT,
                "classification:classes": {"type": "array", "items": _CLASS},
            },
        },
    },
) | {
    "required": ["mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"],
    # Of a model that was trained from scratch, the source is told to be none.
    "if": {"required": ["mlm:pretrained"], "properties": {"mlm:pretrained": {"const": False}}},
    "then": {"required": ["mlm:pretrained_source"], "properties": {"mlm:pretrained_source": {"const": None}}},
}
_HAS_MODEL: Final = {"required": ["roles"], "properties": {"roles": {"contains": {"const": "mlm:model"}}}}
_MODEL_ASSET: Final = {
    **_fields("mlm", artifact_type=_TEXT, compile_method=_TEXT, entrypoint=_TEXT),
    "if": _HAS_MODEL,
    "then": {"required": ["mlm:artifact_type"]},
    "else": {"not": {"required": ["mlm:artifact_type"]}},
}
_BY_HAND: Final[Mapping[str, Mapping[str, Any]]] = {
    PROCESSING: {
        "properties": {
            "properties": {**_PROCESSING, "anyOf": [{"required": [name]} for name in _PROCESSING["properties"]]},
            "assets": {"additionalProperties": _PROCESSING},
        }
    },
    MLM: {
        "properties": {
            "properties": _MODEL,
            "assets": {"additionalProperties": _MODEL_ASSET, "not": {"additionalProperties": {"not": _HAS_MODEL}}},
        }
    },
}
"""Rules for items by the field tables of extensions whose schemas no package carries."""


def check_stac(document: Mapping[str, Any]) -> None:
    """Holds a STAC document against the schema of STAC and against each extension that it declares.

    Raises:
        ValidationError: It is not valid.
        KeyError: Nothing is known of an extension.
    """
    core = f"https://schemas.stacspec.org/v{STAC_VERSION}/{_KINDS[document['type']]}-spec/json-schema"
    for address in (f"{core}/{_KINDS[document['type']]}.json", *document.get("stac_extensions", ())):
        schema = _BY_HAND.get(address) or _schemas()[address]
        registry: Registry[Any] = Registry().with_resources(
            (name, Resource.from_contents(one)) for name, one in _schemas().items()
        )
        jsonschema.Draft7Validator(schema, registry=registry).validate(document)
    fields = [document.get("properties", {}), *document.get("assets", {}).values()]
    used = {name.partition(":")[0] for part in fields for name in part if ":" in name} - {"siamese"}
    declared = {address.split("/")[3] for address in document.get("stac_extensions", ())}
    if missing := {prefix for prefix in used if _PREFIXED.get(prefix, prefix) not in declared}:
        raise jsonschema.ValidationError(f"fields of extensions that are not declared: {missing}")


@cache
def _schemas() -> dict[str, Any]:
    from pystac.validation.local_validator import get_local_schema_cache

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known: dict[str, Any] = dict(get_local_schema_cache())
    extensions = [json.loads(path.read_text()) for path in _FOLDER.glob("*.json")]
    return known | {one["$id"].removesuffix("#"): one for one in extensions}
