"""The STAC item of a map and the collection of its event, from which one walks back to model, scenes and code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import shapely

from siamese.classes import BACKGROUND, COLOURS, DAMAGE_CLASSES, UNCLASSIFIED
from siamese.manifests import DamageMap
from siamese.products.facts import MapFacts
from siamese.products.model_item import FILE, describe_model
from siamese.store import Blob
from siamese.versions import software_version

STAC_VERSION: Final = "1.1.0"
_EXTENSION: Final = "https://stac-extensions.github.io"
PROJECTION: Final = f"{_EXTENSION}/projection/v2.0.0/schema.json"
PROCESSING: Final = f"{_EXTENSION}/processing/v1.2.0/schema.json"
VERSION: Final = f"{_EXTENSION}/version/v1.2.0/schema.json"
CLASSIFICATION: Final = f"{_EXTENSION}/classification/v2.0.0/schema.json"
_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_JSON: Final = "application/json"
_GEOJSON: Final = "application/geo+json"
_MULTIHASH_SHA256: Final = "1220"
"""Prefix that names a hash as 32 bytes of SHA-256 (multiformats)."""
_WHOLE_GLOBE: Final = (-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True)
class AssetKind:
    """What one file of a map is."""

    title: str
    media_type: str
    roles: tuple[str, ...]
    file: str
    """Its name when it is copied to a folder."""
    is_raster: bool = False


ASSETS: Final[dict[str, AssetKind]] = {
    "damage": AssetKind("Damage class of each pixel", _COG, ("data",), "damage.tif", is_raster=True),
    "confidence": AssetKind("Confidence in percent", _COG, ("data", "metadata"), "confidence.tif", is_raster=True),
    "reasons": AssetKind("Why pixels are unknown", _COG, ("data", "metadata"), "reasons.tif", is_raster=True),
    "buildings": AssetKind("Buildings, GeoParquet", "application/vnd.apache.parquet", ("data",), "buildings.parquet"),
    "geojson": AssetKind("Buildings, GeoJSON", _GEOJSON, ("data",), "buildings.geojson"),
    "shifts": AssetKind("Shift of the post images, by blocks", _GEOJSON, ("metadata",), "shifts.geojson"),
    "footprint_shifts": AssetKind(
        "Shift of the images against the footprints, by blocks", _GEOJSON, ("metadata",), "footprint_shifts.geojson"
    ),
    "geopackage": AssetKind(
        "Buildings and areas with a QGIS style", "application/geopackage+sqlite3", ("data",), "map.gpkg"
    ),
    "tiles": AssetKind("Buildings, vector tiles", "application/vnd.pmtiles", ("visual",), "buildings.pmtiles"),
    "summary": AssetKind("Counts by class with intervals", "text/csv", ("metadata",), "summary.csv"),
    "summary_areas": AssetKind(
        "Counts by area, GeoParquet", "application/vnd.apache.parquet", ("metadata",), "areas.parquet"
    ),
    "summary_areas_csv": AssetKind("Counts by area, CSV", "text/csv", ("metadata",), "areas.csv"),
    "picture": AssetKind("Picture", "image/png", ("overview",), "picture.png"),
    "report_html": AssetKind("Report", "text/html", ("overview",), "report.html"),
    "report_pdf": AssetKind("Report for print", "application/pdf", ("overview",), "report.pdf"),
    "page": AssetKind("Interactive page", "text/html", ("overview",), "page.html"),
}
"""Every file that a map may have, in the order in which people should see them."""
ITEM_FILE: Final = "item.json"
COLLECTION_FILE: Final = "collection.json"
MODEL_FILE: Final = "model.json"


def map_files(made: DamageMap) -> dict[str, Blob]:
    """Returns the files of a map by the names of :data:`ASSETS`, without its STAC documents."""
    own = {
        "damage": made.classes, "buildings": made.buildings, "geojson": made.geojson, "picture": made.picture,
    }  # fmt: skip
    return {name: blob for name in ASSETS if (blob := (own | dict(made.products)).get(name))}


@dataclass(frozen=True)
class StacDocuments:
    """The item and the collection of a map, and the item of its model, as JSON."""

    item: bytes
    collection: bytes
    model: bytes | None = None
    """None where nothing is known of the model but its name."""

    @property
    def identity(self) -> str:
        """Twelve digits that name all: they refer to each other, so none can be named by its own hash."""
        return hashlib.sha256(self.item + self.collection + (self.model or b"")).hexdigest()[:12]


def describe_map(facts: MapFacts, files: Mapping[str, Blob], hrefs: Mapping[str, str]) -> StacDocuments:
    """Describes a map for data catalogues.

    Args:
        facts: What is known of the map.
        files: Its files, by the names of :data:`ASSETS`.
        hrefs: Address of each file, relative to the item.
    """
    item = _item(facts, files, hrefs)
    model = describe_model(facts.map.model, facts.networks) if facts.networks else None
    return StacDocuments(_bytes(item), _bytes(_collection(facts, item)), _bytes(model) if model else None)


def local_documents(item: bytes, collection: bytes, files: Sequence[str]) -> tuple[bytes, bytes]:
    """Returns published documents for a folder that the files were copied to.

    Args:
        item: As published.
        collection: As published.
        files: Names of the files that are in the folder; others are left out.
    """
    found, group = json.loads(item), json.loads(collection)
    found["assets"] = {
        name: asset | {"href": f"./{ASSETS[name].file}"} for name, asset in found["assets"].items() if name in files
    }
    if not any("classification:classes" in asset for asset in found["assets"].values()):
        found["stac_extensions"] = [one for one in found["stac_extensions"] if one != CLASSIFICATION]
    group["item_assets"] = {name: one for name, one in group["item_assets"].items() if name in files}
    return _bytes(found), _bytes(group)


def _item(facts: MapFacts, files: Mapping[str, Blob], hrefs: Mapping[str, str]) -> dict[str, Any]:
    made = facts.map
    extensions = [FILE, PROCESSING, VERSION, CLASSIFICATION] + [PROJECTION] * (made.crs is not None)
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(extensions),
        "id": f"{identifier(made.event)}-{made.digest}",
        "collection": identifier(made.event),
        "geometry": _geometry(made.bounds),
        "properties": _properties(facts),
        "links": _links(facts),
        "assets": {name: _asset(name, blob, hrefs[name], facts) for name, blob in files.items() if name in ASSETS},
    }
    if made.bounds:
        item["bbox"] = list(made.bounds)
    return item


def _properties(facts: MapFacts) -> dict[str, Any]:
    made = facts.map
    properties: dict[str, Any] = {
        "title": f"Building damage, {made.event}",
        "description": _description(facts),
        **_dates(facts),
        "created": _time(facts.made),
        "version": made.digest,
        "processing:level": "L4",
        "processing:datetime": _time(facts.made),
        "processing:software": {"siamese": software_version()},
        "processing:lineage": facts.lineage,
        **_place(facts),
        "siamese:event": made.event,
        "siamese:model": made.model,
        "siamese:checkpoints": [made.checkpoint, *made.further],
        "siamese:counts": made.counts,
        "siamese:unknown_share": made.unknown_share,
        "siamese:warnings": list(made.warnings),
        "siamese:inputs": {"pre": list(made.pre), "post": list(made.post), **facts.inputs},
        "siamese:params": facts.params,
        "siamese:labels": list(made.labels),
        "siamese:code": facts.code,
    }
    if made.trust is not None:
        properties["siamese:trust"] = made.trust.model_dump(mode="json")
    if made.alignment is not None:
        properties["siamese:alignment"] = made.alignment.model_dump(mode="json")
    if made.footprint_alignment is not None:
        properties["siamese:footprint_alignment"] = made.footprint_alignment.model_dump(mode="json")
    further = {
        "siamese:score": facts.score,
        "siamese:seconds": facts.seconds,
        "siamese:km2": facts.km2,
        "siamese:km2_per_hour": facts.km2_per_hour,
    }
    return properties | {name: value for name, value in further.items() if value is not None}


def _description(facts: MapFacts) -> str:
    made = facts.map
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in made.counts.items())
    told = f"{sum(made.counts.values()):,} buildings ({counts}), mapped by {made.model}."
    if facts.post_date is None:
        told += " The dates of the images are not known; datetime is when the map was made."
    if made.crs is None:
        told += " The images have no georeference: coordinates are pixels."
    return told


def _dates(facts: MapFacts) -> dict[str, Any]:
    if facts.post_date is None:
        return {"datetime": _time(facts.made)}
    dates: dict[str, Any] = {"datetime": _time(facts.post_date)}
    if facts.pre_date is not None and facts.pre_date <= facts.post_date:
        dates |= {"start_datetime": _time(facts.pre_date), "end_datetime": _time(facts.post_date)}
    return dates


def _place(facts: MapFacts) -> dict[str, Any]:
    made = facts.map
    if made.crs is None:
        return {}
    place: dict[str, Any] = {"proj:code": made.crs} if re.fullmatch("[A-Z]+:[0-9]+", made.crs) else {
        "proj:code": None, "proj:wkt2": made.crs,
    }  # fmt: skip
    place["proj:shape"] = [made.height, made.width]
    if facts.transform is not None:
        place["proj:transform"] = list(facts.transform)
    return place


def _asset(name: str, blob: Blob, href: str, facts: MapFacts) -> dict[str, Any]:
    kind = ASSETS[name]
    asset: dict[str, Any] = {
        "href": href,
        "title": kind.title,
        "type": kind.media_type,
        "roles": list(kind.roles),
        "file:size": blob.size,
        "file:checksum": _MULTIHASH_SHA256 + blob.sha256,
    }
    if kind.is_raster:
        asset |= {"data_type": "uint8", "nodata": 0 if name == "reasons" else 255}
    if name == "damage":
        asset["classification:classes"] = _classes()
    return asset


def _classes() -> list[dict[str, Any]]:
    named = {BACKGROUND: "background", **dict(enumerate(DAMAGE_CLASSES, start=1))}
    named[UNCLASSIFIED] = "unknown"
    return [
        {
            "value": value,
            "name": name,
            "title": name.replace("_", " "),
            **({"color_hint": "".join(f"{part:02X}" for part in COLOURS[name])} if name in COLOURS else {}),
            **({"nodata": True} if value == UNCLASSIFIED else {}),
        }
        for value, name in named.items()
    ]


def _links(facts: MapFacts) -> list[dict[str, str]]:
    links = [
        {"rel": rel, "href": f"./{COLLECTION_FILE}", "type": _JSON, "title": facts.map.event}
        for rel in ("root", "parent", "collection")
    ]
    links += [
        {"rel": "derived_from", "href": address, "type": _JSON, "title": title} for title, address in facts.derived_from
    ]
    if facts.networks:
        title = f"the model, {facts.map.model}"
        links.append({"rel": "derived_from", "href": f"./{MODEL_FILE}", "type": _GEOJSON, "title": title})
    if facts.predecessor:
        title = "the map before it was adapted to labels"
        links.append({"rel": "predecessor-version", "href": facts.predecessor, "type": _JSON, "title": title})
    return links


def _collection(facts: MapFacts, item: Mapping[str, Any]) -> dict[str, Any]:
    made, properties = facts.map, item["properties"]
    start = properties.get("start_datetime") or properties["datetime"]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [VERSION],
        "id": identifier(made.event),
        "title": made.event,
        "description": f"Building damage maps of {made.event}, made from images before and after it.",
        "license": "other",
        "keywords": ["building damage", "disaster", "change detection"],
        "version": made.digest,
        "providers": [{"name": "siamese", "roles": ["processor"]}],
        "extent": {
            "spatial": {"bbox": [list(made.bounds or _WHOLE_GLOBE)]},
            "temporal": {"interval": [[start, properties["datetime"]]]},
        },
        "summaries": {"siamese:model": [made.model]},
        "item_assets": {
            name: {key: asset[key] for key in ("title", "type", "roles")} for name, asset in item["assets"].items()
        },
        "links": [
            {"rel": "root", "href": f"./{COLLECTION_FILE}", "type": _JSON, "title": made.event},
            {"rel": "item", "href": f"./{ITEM_FILE}", "type": _GEOJSON, "title": properties["title"]},
        ],
    }


def identifier(event: str) -> str:
    """Returns an event's name as an identifier: letters, digits, ``-``, ``_`` and ``.`` stay as they are."""
    if re.fullmatch(r"[\w.-]{1,120}", event, re.ASCII):
        return event
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", event).strip("-")[:80]
    # Two names that differ only in what was replaced must not become one.
    return f"{plain or 'event'}-{hashlib.sha256(event.encode()).hexdigest()[:8]}"


def _geometry(bounds: tuple[float, float, float, float] | None) -> dict[str, Any] | None:
    if bounds is None:
        return None
    west, south, east, north = bounds
    boxes = [shapely.box(west, south, east, north)]
    if west > east:
        boxes = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    found: dict[str, Any] = json.loads(
        shapely.to_geojson(shapely.orient_polygons(boxes[0] if len(boxes) == 1 else shapely.MultiPolygon(boxes)))
    )
    return found


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bytes(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
