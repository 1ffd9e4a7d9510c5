"""Tiny scenes in xBD's layout, and the same with one thing wrong, for the tests of ingest."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
import rasterio
from affine import Affine

from siamese.ingest import Scene, ingest, read_catalog
from siamese.manifests import SceneCatalog
from siamese.params import IngestParams
from siamese.store import ObjectStore, S3Uri

SIDE = 64
PLACE = Affine(5e-6, 0, -94.5, 0, -4e-6, 37.0)
SQUARES = ((4, 4, 20, 16), (30, 30, 44, 50))
SUBTYPES = ("no-damage", "destroyed")


def png(seed: int = 0, side: int = SIDE, bands: int = 3) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, bands), dtype=np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


def tiff(pixels: np.ndarray, crs: str | None = "EPSG:4326", transform: Affine = PLACE, **profile: object) -> bytes:
    """A GeoTIFF of (H, W, bands)."""
    height, width, bands = pixels.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=width, height=height, count=bands, dtype=pixels.dtype, crs=crs,
            transform=transform if crs else None, **profile,
        ) as dataset:  # fmt: skip
            dataset.write(np.moveaxis(pixels, -1, 0))
        return memory.read()


def polygon(points: Iterable[tuple[float, float]]) -> str:
    return f"POLYGON (({', '.join(f'{x!r} {y!r}' for x, y in points)}))"


def square(box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = box
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


def label(scene: str, date: str, squares: Iterable[tuple[float, float, float, float]] = SQUARES) -> dict[str, Any]:
    """A label as xBD writes it, as a tree."""
    xy, lng_lat = [], []
    for number, box in enumerate(squares):
        properties = {"feature_type": "building", "uid": f"{scene}-{number}"}
        if date == "post":
            properties["subtype"] = SUBTYPES[number % 2]
        points = square(box)
        xy.append({"properties": properties, "wkt": polygon(points)})
        lng_lat.append({"properties": properties, "wkt": polygon([PLACE @ point for point in points])})
    disaster = scene.rsplit("_", 1)[0]
    metadata = {
        "sensor": "GEOEYE01", "provider_asset_type": "GEOEYE01", "gsd": 2.0, "off_nadir_angle": 20.0,
        "capture_date": f"2018-10-{10 if date == 'pre' else 13}T16:48:15.000Z", "pan_resolution": 0.5,
        "sun_azimuth": 163.9, "sun_elevation": 50.7, "target_azimuth": 112.5, "disaster": disaster,
        "disaster_type": "wind", "catalog_id": "105001001292E000", "original_width": SIDE, "original_height": SIDE,
        "width": SIDE, "height": SIDE, "id": "MjU0", "img_name": f"{scene}_{date}_disaster.png",
    }  # fmt: skip
    return {"features": {"lng_lat": lng_lat, "xy": xy}, "metadata": metadata}


def files(scene: str, *, labels: bool = True, folder: str = "", seed: int = 0) -> dict[str, bytes]:
    """A scene's files by path."""
    found = {}
    for number, date in enumerate(("pre", "post")):
        found[f"{folder}images/{scene}_{date}_disaster.png"] = png(2 * seed + number)
        if labels:
            found[f"{folder}labels/{scene}_{date}_disaster.json"] = json.dumps(label(scene, date)).encode()
    return found


def many(count: int, folder: str = "", disaster: str = "test-wind") -> dict[str, bytes]:
    """Several scenes' files by path."""
    return {
        path: data
        for number in range(count)
        for path, data in files(f"{disaster}_{number:08d}", folder=folder, seed=number).items()
    }


def tar(members: Mapping[str, bytes] | Iterable[tuple[str, bytes]], mode: str = "w", **options: str) -> bytes:
    """An archive of these members, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zipped(
    members: Mapping[str, bytes] | Iterable[tuple[str | zipfile.ZipInfo, bytes]],
    method: int = zipfile.ZIP_DEFLATED,
    *,
    streamed: bool = False,
) -> bytes:
    """A zip of these members, in this order.

    Args:
        members: Names, or whole entries, and bytes.
        method: How members are compressed that are given by name.
        streamed: As written to a pipe: sizes follow a member's bytes and are in the directory alone.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(_Pipe(buffer) if streamed else buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same name twice
        for name, data in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(name, data)
    return buffer.getvalue()


class _Pipe(io.RawIOBase):
    def __init__(self, buffer: io.BytesIO) -> None:
        self._buffer = buffer

    def writable(self) -> bool:
        """It takes bytes, and cannot go back."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401
        """Takes bytes."""
        return self._buffer.write(data)


def put(store: ObjectStore, objects: Mapping[str, bytes], prefix: str = "in") -> S3Uri:
    """Puts objects below a prefix of raw storage."""
    source = store.raw / prefix
    for name, data in objects.items():
        store.put(source / name, data)
    return source


def taken(store: ObjectStore, source: S3Uri, **params: object) -> tuple[SceneCatalog, dict[str, Scene]]:
    """Ingests a prefix; the catalog and its rows by scene."""
    catalog = ingest(source, IngestParams.model_validate(params), store)
    rows = list(read_catalog(store, catalog))
    assert [row.scene for row in rows] == sorted({row.scene for row in rows})
    return catalog, {row.scene: row for row in rows}


class Reads:
    """Counts what is read from storage, on the real client."""

    def __init__(self, store: ObjectStore) -> None:
        self.keys: list[str] = []
        self.bytes = 0
        events = store.client.meta.events
        events.register("before-parameter-build.s3.GetObject", self._asked)
        events.register("after-call.s3.GetObject", self._answered)

    def _asked(self, params: dict[str, Any], **_: object) -> None:
        self.keys.append(params["Key"])

    def _answered(self, parsed: dict[str, Any], **_: object) -> None:
        self.bytes += parsed.get("ContentLength", 0)

    def below(self, prefix: str) -> list[str]:
        """The keys read below a prefix, in order."""
        return [key for key in self.keys if key.startswith(prefix)]

    def clear(self) -> None:
        """Counts anew."""
        self.keys.clear()
        self.bytes = 0
