"""Parses xBD label JSON into buildings and checks every field, so that later readers can rely on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from shapely.geometry.base import BaseGeometry

from siamese.classes import SUBTYPES
from siamese.errors import SiameseError
from siamese.ingest.geometry import GeometryError, read_geometries
from siamese.ingest.strict_json import read_strict_json

OUTSIDE_TOLERANCE_PX: Final = 16.0
"""How far a polygon may extend beyond the tile's edge: polygons are drawn on the pre image and transferred to the post
image, which is shifted by some pixels, so on real scenes they do extend beyond it."""
_FIX: Final = "mend the label or take the scene away"


class LabelMetadata(BaseModel):
    """A label's metadata of its image. Fields without a default are required; null is allowed for the others."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    disaster: str
    disaster_type: str
    width: int
    height: int
    img_name: str
    gsd: float | None = Field(None, description="Metres a pixel.")
    capture_date: str | None = None
    sensor: str | None = None
    provider_asset_type: str | None = None
    off_nadir_angle: float | None = Field(None, description="Degrees.")
    pan_resolution: float | None = Field(None, description="Metres.")
    sun_azimuth: float | None = Field(None, description="Degrees.")
    sun_elevation: float | None = Field(None, description="Degrees.")
    target_azimuth: float | None = Field(None, description="Degrees.")
    catalog_id: str | int | None = None
    original_width: int | None = None
    original_height: int | None = None
    id: str | int | None = None


@dataclass(frozen=True)
class Building:
    """One building of a label."""

    uid: str
    subtype: str | None
    """Damage, one of :data:`siamese.classes.SUBTYPES`; None before the disaster."""
    pixels: BaseGeometry
    """Polygon or MultiPolygon, valid; x = column, y = row, in pixels from the tile's upper left corner."""
    lng_lat: BaseGeometry | None
    """The same in degrees."""
    repaired: bool = False
    """The label's polygon crossed itself and was made valid."""


@dataclass(frozen=True)
class Label:
    """A label that passed every check that does not need another file."""

    buildings: tuple[Building, ...]
    metadata: LabelMetadata

    def counts(self) -> dict[str, int]:
        """Returns the number of buildings by subtype, including subtypes without any."""
        found = Counter(building.subtype for building in self.buildings)
        return {subtype: found[subtype] for subtype in SUBTYPES}


def parse_label(
    data: bytes,
    name: str,
    *,
    width: int,
    height: int,
    max_vertices: int,
    date: Literal["pre", "post"] | None = None,
    tolerance_px: float = OUTSIDE_TOLERANCE_PX,
) -> Label:
    """Reads and checks one xBD label.

    Args:
        data: The JSON file.
        name: Object or file name, for errors.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        max_vertices: A polygon with more vertices is refused before it is parsed.
        date: Before or after the disaster; by default taken from the metadata's image name. After it, each building
            needs a known subtype.
        tolerance_px: How far a polygon may extend beyond the tile's edge.

    Raises:
        SiameseError: The data is not JSON, a key or uid occurs twice, a field is missing, renamed or mistyped, a
            polygon is invalid, not finite or outside the tile, a subtype is unknown, or the size is not the image's.
    """
    try:
        tree = read_strict_json(data)
        metadata = _metadata(_object(tree))
        if (metadata.width, metadata.height) != (width, height):
            said = f"{metadata.width} x {metadata.height} px"
            raise _LabelError(f"metadata says {said}, the image is {width} x {height} px")
        after = date == "post" if date else "_post_" in metadata.img_name
        features = _field(_object(tree), "features", dict, "")
        xy = _features(features, "xy")
        lng_lat = _features(features, "lng_lat")
        if [feature.uid for feature in xy] != [feature.uid for feature in lng_lat]:
            lng_lat = _in_order_of(xy, lng_lat)
        in_pixels = read_geometries("features.xy", xy, max_vertices)
        in_degrees = read_geometries("features.lng_lat", lng_lat, max_vertices)
        _check_inside([one for one, _ in in_pixels], xy, (0, 0, width, height), tolerance_px, "features.xy", "tile")
        _check_inside([one for one, _ in in_degrees], lng_lat, (-180, -90, 180, 90), 0, "features.lng_lat", "globe")
        subtypes = [_subtype(feature) if after else None for feature in xy]
        for subtype, feature in zip(subtypes, lng_lat, strict=True):
            if after and _subtype(feature) != subtype:
                raise _LabelError(f"{feature.place}.properties.subtype differs from that of features.xy")
    except (_LabelError, GeometryError, ValueError) as error:
        raise SiameseError(str(error), where=name, fix=_FIX) from error
    buildings = (
        Building(feature.uid, subtype, pixels, degrees, repaired_pixels or repaired_degrees)
        for feature, subtype, (pixels, repaired_pixels), (degrees, repaired_degrees) in zip(
            xy, subtypes, in_pixels, in_degrees, strict=True
        )
    )
    return Label(tuple(buildings), metadata)


class _LabelError(Exception):
    """Raised with the reason why a label is refused."""


@dataclass(frozen=True)
class _Feature:
    place: str
    uid: str
    wkt: str
    properties: dict[str, Any]


def _field(tree: dict[str, Any], key: str, kind: type, place: str) -> Any:  # noqa: ANN401
    path = f"{place}.{key}".lstrip(".")
    if key not in tree:
        raise _LabelError(f"{path} is missing{_instead(tree, place)}")
    if not isinstance(tree[key], kind):
        raise _LabelError(f"{path} is not {'an object' if kind is dict else 'a list' if kind is list else 'text'}")
    return tree[key]


_KNOWN: Final = {
    "": {"features", "metadata"},
    "features": {"xy", "lng_lat"},
    "metadata": set(LabelMetadata.model_fields),
    "properties": {"uid", "feature_type", "subtype"},
    "feature": {"properties", "wkt"},
}


def _instead(tree: dict[str, Any], place: str) -> str:
    known = _KNOWN.get(place.rsplit(".", 1)[-1], _KNOWN["feature"] if place.endswith("]") else set())
    strangers = sorted(str(key)[:40] for key in tree if key not in known)
    return f" (found instead: {', '.join(strangers[:3])})" if strangers else ""


def _object(tree: object) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise _LabelError("is not a JSON object")
    return tree


def _metadata(tree: dict[str, Any]) -> LabelMetadata:
    found = _field(tree, "metadata", dict, "")
    absent = [key for key in LabelMetadata.model_fields if key not in found]
    required = [key for key in absent if LabelMetadata.model_fields[key].is_required()]
    strangers = _instead(found, "metadata")
    # An optional field may be missing, and extra ones may be present; both at once indicate a renamed field.
    if required or (absent and strangers):
        keys = ", ".join(f"metadata.{key}" for key in required or absent)
        raise _LabelError(f"{keys} is missing{strangers}")
    try:
        return LabelMetadata.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise _LabelError(f"metadata.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _features(features: dict[str, Any], system: str) -> list[_Feature]:
    found: list[_Feature] = []
    for number, item in enumerate(_field(features, system, list, "features")):
        place = f"features.{system}[{number}]"
        if not isinstance(item, dict):
            raise _LabelError(f"{place} is not an object")
        properties = _field(item, "properties", dict, place)
        inside = f"{place}.properties"
        kind = _field(properties, "feature_type", str, inside)
        if kind != "building":
            raise _LabelError(f"{inside}.feature_type is {kind[:40]!r}, not 'building'")
        uid = _field(properties, "uid", str, inside)
        found.append(_Feature(place, uid, _field(item, "wkt", str, place), properties))
    twice = [uid for uid, times in Counter(feature.uid for feature in found).items() if times > 1]
    if twice:
        raise _LabelError(f"features.{system} holds uid {twice[0][:60]} twice")
    return found


def _in_order_of(xy: list[_Feature], lng_lat: list[_Feature]) -> list[_Feature]:
    by_uid = {feature.uid: feature for feature in lng_lat}
    different = {feature.uid for feature in xy} ^ set(by_uid)
    if different:
        raise _LabelError(f"features.xy and features.lng_lat differ in uid {min(different)[:60]}")
    return [by_uid[feature.uid] for feature in xy]


def _subtype(feature: _Feature) -> str:
    subtype: str = _field(feature.properties, "subtype", str, f"{feature.place}.properties")
    if subtype not in SUBTYPES:
        raise _LabelError(f"{feature.place}.properties.subtype {subtype[:40]!r} is unknown")
    return subtype


def _check_inside(
    geometries: list[BaseGeometry],
    features: list[_Feature],
    box: tuple[float, float, float, float],
    tolerance: float,
    system: str,
    place: str,
) -> None:
    if not geometries:
        return
    bounds = shapely.bounds(np.array(geometries, dtype=object))
    beyond = np.maximum(np.array(box[:2]) - bounds[:, :2], bounds[:, 2:] - np.array(box[2:])).max(axis=1)
    worst = int(beyond.argmax())
    if beyond[worst] > tolerance:
        unit = " px" if place == "tile" else " degrees"
        far = f"{beyond[worst]:.4g}{unit} outside the {place}"
        raise _LabelError(f"{system}: polygon {features[worst].uid[:60]} lies {far}")
