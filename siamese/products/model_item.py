"""The model of a map as a STAC item with the extension MLM, so that a catalogue knows what made the map."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from siamese.classes import COLOURS, DAMAGE_CLASSES
from siamese.params import NetworkParams
from siamese.store import Blob

MLM: Final = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
FILE: Final = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_ORDER: Final = ["batch", "channel", "height", "width"]


@dataclass(frozen=True)
class Network:
    """One trained network."""

    checkpoint: str
    """Digest of its Checkpoint."""
    address: str
    """Address of that manifest."""
    made: datetime
    params: NetworkParams
    start: str
    """Where its first weights came from."""
    weights: Blob
    """safetensors."""


def describe_model(name: str, networks: Sequence[Network]) -> dict[str, Any]:
    """Describes the model of a map.

    Args:
        name: As people call it.
        networks: Its network, or those of an ensemble, whose probabilities are averaged.
    """
    first = networks[0]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [FILE, MLM],
        "id": "-".join(["model", *(one.checkpoint for one in networks)]),
        "geometry": None,
        "properties": {
            "title": name,
            "description": _description(networks),
            "datetime": first.made.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "mlm:name": _plain(name),
            "mlm:architecture": f"Siamese U-Net, {first.params.encoder}",
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:framework": "PyTorch",
            "mlm:pretrained": first.start != "random",
            "mlm:pretrained_source": None if first.start == "random" else first.start,
            "mlm:hyperparameters": first.params.model_dump(mode="json"),
            "mlm:input": _inputs(first.params),
            "mlm:output": _outputs(),
        },
        "links": [
            {
                "rel": "derived_from",
                "href": one.address,
                "type": "application/json",
                "title": f"checkpoint {one.checkpoint}",
            }
            for one in networks
        ],
        "assets": {
            "weights" if number == 0 else f"weights_{number + 1}": {
                "href": one.weights.uri,
                "title": f"Weights of checkpoint {one.checkpoint}",
                "type": "application/octet-stream; application=safetensors",
                "roles": ["mlm:model", "mlm:weights"],
                "mlm:artifact_type": "safetensors.torch.save_file",
                "file:size": one.weights.size,
                "file:checksum": "1220" + one.weights.sha256,
            }
            for number, one in enumerate(networks)
        },
    }


def _description(networks: Sequence[Network]) -> str:
    told = "Finds buildings in images of two dates and grades their damage."
    return told if len(networks) == 1 else f"{told} The probabilities of {len(networks)} networks are averaged."


def _plain(name: str) -> str:
    """Returns a name in the letters that MLM allows."""
    found = " ".join(re.sub(r"[^A-Za-z0-9_.\-]+", " ", name.replace("+", "and")).split()).strip("_.- ")
    return found if re.match("[A-Za-z]", found) and len(found) > 2 else f"model {found}".strip()


def _inputs(params: NetworkParams) -> list[dict[str, Any]]:
    bands = {"pre": params.bands, "post": params.post_bands or params.bands}
    return [
        {
            "name": date,
            "bands": [],
            "input": {"shape": [-1, count, -1, -1], "dim_order": _ORDER, "data_type": "float32"},
            "value_scaling": [{"type": "min-max", "minimum": 0, "maximum": 255}],
            "description": f"Image {'before' if date == 'pre' else 'after'} the disaster, {count} bands.",
        }
        for date, count in bands.items()
    ]


def _outputs() -> list[dict[str, Any]]:
    classes = [
        {
            "value": value,
            "name": name,
            "description": name.replace("_", " "),
            "color_hint": "".join(f"{part:02X}" for part in COLOURS[name]),
        }
        for value, name in enumerate(DAMAGE_CLASSES, start=1)
    ]
    return [
        {
            "name": "building",
            "tasks": ["semantic-segmentation"],
            "result": {"shape": [-1, 1, -1, -1], "dim_order": _ORDER, "data_type": "float32"},
            "classification:classes": [],
            "description": "Probability that a pixel shows a building.",
        },
        {
            "name": "damage",
            "tasks": ["semantic-segmentation"],
            "result": {
                "shape": [-1, len(classes), -1, -1],
                "dim_order": ["batch", "class", "height", "width"],
                "data_type": "float32",
            },
            "classification:classes": classes,
            "description": "Probability of each damage class, if the pixel shows a building.",
        },
    ]
