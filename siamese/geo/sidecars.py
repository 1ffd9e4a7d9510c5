"""Reads sidecars, the files beside an image that georeference it: world files, ``.prj``, ``.aux.xml``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import CRSError

from siamese.errors import SiameseError

MOST_BYTES: Final = 4 * 2**20
"""Maximum size of a sidecar in bytes; a larger file is not one."""


@dataclass(frozen=True)
class Sidecars:
    """The georeference in the files beside an image."""

    aux_crs: CRS | None = None
    aux_transform: Affine | None = None
    points: tuple[Sequence[GroundControlPoint], CRS | None] | None = None
    prj: CRS | None = None
    world: Affine | None = None
    world_name: str | None = None
    rpc_name: str | None = None


def sidecar_names(image: str) -> tuple[str, ...]:
    """Returns the names, in lower case, of all possible sidecars of an image."""
    return tuple(_names(image))


def sidecars_among(image: str, names: Iterable[str]) -> tuple[str, ...]:
    """Returns those names that are an image's sidecars, in a fixed order."""
    wanted = _names(image)
    return tuple(sorted(name for name in names if name.lower() in wanted))


def read_sidecars(image: str, beside: Mapping[str, bytes]) -> Sidecars:
    """Reads the files beside an image.

    Args:
        image: File name of the image.
        beside: Content of its sidecars by file name.

    Raises:
        SiameseError: The content of a sidecar does not match its name.
    """
    kinds = _names(image)
    found: dict[str, tuple[str, bytes]] = {}
    for name, content in sorted(beside.items(), key=lambda item: list(kinds).index(item[0].lower())):
        found.setdefault(kinds[name.lower()], (name, content))
    aux = _read_aux(*found["aux"]) if "aux" in found else Sidecars()
    world = found.get("world")
    return Sidecars(
        aux.aux_crs,
        aux.aux_transform,
        aux.points,
        _read_prj(*found["prj"]) if "prj" in found else None,
        read_world_file(*world) if world else None,
        world[0] if world else None,
        found["rpc"][0] if "rpc" in found else None,
    )


def parse_crs(text: str) -> CRS:
    """Returns the CRS of a name.

    Raises:
        SiameseError: There is no such CRS, or it does not describe the earth's surface.
    """
    try:
        crs = CRS.from_user_input(f"EPSG:{text}" if text.isdigit() else text)
        if crs.is_geographic or crs.is_projected:
            return crs
    except (CRSError, ValueError):
        pass
    raise SiameseError("is no CRS of the earth's surface", where=text, fix="give an EPSG code, such as EPSG:32613")


def read_world_file(name: str, content: bytes) -> Affine:
    """Reads the affine map of a world file, relative to the outer corner of the first pixel; the file has its centre.

    Raises:
        SiameseError: The file does not hold six numbers, or they do not form a valid map.
    """
    words = content.decode("utf-8-sig", "replace").replace(",", ".").split()
    try:
        a, d, b, e, x, y = map(float, words)
    except ValueError as error:
        raise SiameseError("is no world file: it must hold six numbers", where=name, fix=_AGAIN) from error
    transform = Affine(a, b, x, d, e, y) @ Affine.translation(-0.5, -0.5)
    if transform.determinant == 0 or not all(map(math.isfinite, (a, b, d, e, x, y))):
        raise SiameseError("is no world file: its six numbers are no map", where=name, fix=_AGAIN)
    return transform


_AGAIN: Final = "write it again, or take it away"


def _names(image: str) -> dict[str, str]:
    """Returns lower-case names of all possible sidecars, the most specific first, and the kind of each."""
    stem, _, suffix = image.lower().rpartition(".")
    short = f"{suffix[:1]}{suffix[-1:]}w"
    worlds = (short, f"{suffix}w", f"{short}x", f"{suffix}wx", "wld")
    return {
        f"{stem}.{suffix}.aux.xml": "aux",
        f"{stem}.aux.xml": "aux",
        **{f"{stem}.{ending}": "world" for ending in worlds},
        f"{stem}.{suffix}.wld": "world",
        f"{stem}.prj": "prj",
        f"{stem}.{suffix}.prj": "prj",
        **{f"{stem}{ending}": "rpc" for ending in (".rpb", "_rpc.txt", ".rpc")},
    }


def _read_prj(name: str, content: bytes) -> CRS:
    return _crs(name, content.decode("utf-8-sig", "replace").strip())


def _read_aux(name: str, content: bytes) -> Sidecars:
    """Reads the ``.aux.xml`` that GDAL writes beside an image; statistics and the like are ignored."""
    text = content.decode("utf-8-sig", "replace")
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise SiameseError("defines entities, which no such file needs", where=name, fix=_AGAIN)
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without entities it cannot grow
        srs, transform = root.findtext("SRS"), root.findtext("GeoTransform")
        found = root.find("GCPList")
        numbers = tuple(float(number) for number in transform.split(",")) if transform else None
        points = [_point(point) for point in found] if found is not None else []
        affine = Affine.from_gdal(*numbers) if numbers else None
    except (ElementTree.ParseError, ValueError, TypeError, KeyError) as error:
        raise SiameseError(f"cannot be read: {error}", where=name, fix=_AGAIN) from error
    points_crs = (found.get("Projection") or found.findtext("SRS")) if found is not None else None
    return Sidecars(
        aux_crs=_crs(name, srs) if srs else None,
        aux_transform=affine,
        points=(points, _crs(name, points_crs) if points_crs else None) if points else None,
    )


def _point(element: ElementTree.Element) -> GroundControlPoint:
    pixel, line, x, y = (float(element.attrib[key]) for key in ("Pixel", "Line", "X", "Y"))
    return GroundControlPoint(row=line, col=pixel, x=x, y=y)


def _crs(name: str, text: str) -> CRS:
    try:
        return parse_crs(text)
    except SiameseError as error:
        raise SiameseError("holds no CRS of the earth's surface", where=name, fix=_AGAIN) from error
