"""One image as part of a mosaic: its size, place, bands, and how its values become 8 bits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from siamese.errors import SiameseError
from siamese.imagery.decode import STRETCH_PERCENT
from siamese.imagery.gdal import local_gdal
from siamese.ingest.georeference import from_label
from siamese.ingest.labels import parse_label
from siamese.mapping.inputs import ImageFile

DRIVERS = {
    b"\x89PNG": "PNG",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
}
"""Only these may open a user's file, by its first bytes: others, such as VRT, may point anywhere on disk or network."""
GDAL = {
    "GDAL_CACHEMAX": 128 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
}
"""A small block cache (bytes) keeps memory flat; neighbours of a user's file are neither read nor written."""
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_SAMPLE_PX = 1024
_LARGE_PNG_PX = 4096 * 4096
_MAX_RESIDUAL_PX = 1.0
_MAX_VERTICES = 100_000


@dataclass(frozen=True)
class Stretch:
    """Linear map of one band to 8 bits: ``low`` becomes 0, ``high`` 255."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __call__(self, pixels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """``(H, W, bands)`` of any integers to uint8."""
        low, high = np.asarray(self.low, np.float32), np.asarray(self.high, np.float32)
        scaled = (pixels.astype(np.float32) - low) * (255 / np.maximum(high - low, 1))
        return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


@dataclass(frozen=True)
class Tile:
    """An image of the mosaic, closed."""

    path: Path
    name: str
    width: int
    height: int
    crs: str | None
    transform: Affine
    bands: tuple[int, ...]
    """Positions in the file, from 1 on."""
    dtype: str
    has_mask: bool
    """The file itself says where it has no data, by whatever means."""
    masks_apart: bool
    """It has no band or value for that: a mask of its own, or none."""
    stretch: Stretch | None = None
    """None: values are 8 bits already."""


def open_tiles(images: Sequence[ImageFile], folder: Path, bands: int = 3) -> tuple[Tile, ...]:
    """Looks at the images of one date.

    Args:
        images: The files.
        bands: How many are read: of three those marked red, green and blue, if any; else the first ones.
        folder: Where a large PNG, which can only be read from its first row on, is rewritten in blocks.

    Raises:
        SiameseError: A file cannot be read, or has not so many bands of integers.
    """
    tiles = tuple(_look(image, folder, bands) for image in images)
    wide = [tile for tile in tiles if tile.dtype != "uint8"]
    if not wide:
        return tiles
    stretch = _stretch(wide)
    return tuple(replace(tile, stretch=stretch) if tile in wide else tile for tile in tiles)


def label_georeference(image: ImageFile, width: int, height: int) -> tuple[str, Affine] | None:
    """The crs and transform that an image's xBD label gives; None when there is no such label, or it does not fit."""
    if image.label is None:
        return None
    try:
        label = parse_label(
            image.label.read_bytes(), image.label.name, width=width, height=height, max_vertices=_MAX_VERTICES
        )
    except SiameseError:  # the label is only a help: without one that is sound the map is in pixel coordinates
        return None
    found = from_label(label, width, height)
    if found is None or found.residual_px is None or found.residual_px > _MAX_RESIDUAL_PX:
        return None
    return found.crs, found.transform


@contextmanager
def opened(path: Path, name: str) -> Iterator[DatasetReader]:
    """Opens an image; whatever goes wrong with it while it is open becomes one clear error.

    Raises:
        SiameseError: It is neither PNG nor GeoTIFF, or is damaged.
    """
    try:
        with path.open("rb") as file:
            driver = DRIVERS.get(file.read(4))
        if driver is None:
            raise SiameseError("is neither PNG nor GeoTIFF", where=name, fix="convert it to one of them")
        with local_gdal(**GDAL):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = rasterio.open(path, driver=driver, sharing=False)
            with dataset:
                yield dataset
    except (RasterioError, OSError) as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> SiameseError:
    """The error of an image that GDAL cannot read."""
    cause = str(error.__cause__ or error).splitlines()[0]
    fix = "give a whole PNG or GeoTIFF; copy it again from its source"
    return SiameseError(f"cannot be read: {cause}", where=name, fix=fix)


def _look(image: ImageFile, folder: Path, count: int) -> Tile:
    with opened(image.path, image.name) as dataset:
        bands = _chosen_bands(dataset, image.name, count)
        for kind in {dataset.dtypes[band - 1] for band in bands}:
            if not np.issubdtype(np.dtype(kind), np.integer):
                fix = "convert it to 8 bits (gdal_translate -ot Byte -scale)"
                raise SiameseError(f"holds {kind}, not integers", where=image.name, fix=fix)
        flags = {flag for band in bands for flag in dataset.mask_flag_enums[band - 1]}
        tile = Tile(
            path=image.path,
            name=image.name,
            width=dataset.width,
            height=dataset.height,
            crs=dataset.crs.to_string() if dataset.crs and not dataset.transform.is_identity else None,
            transform=dataset.transform,
            bands=bands,
            dtype=dataset.dtypes[bands[0] - 1],
            has_mask=MaskFlags.all_valid not in flags,
            masks_apart=not flags & {MaskFlags.nodata, MaskFlags.alpha},
        )
        if dataset.driver == "PNG" and tile.width * tile.height > _LARGE_PNG_PX:
            return replace(tile, path=_in_blocks(dataset, folder, image))
        return tile


def _chosen_bands(dataset: DatasetReader, name: str, count: int) -> tuple[int, ...]:
    uses = dict(zip(dataset.colorinterp, dataset.indexes, strict=True))
    if count == len(_RGB) and all(use in uses for use in _RGB):
        return tuple(uses[use] for use in _RGB)
    first = [band for band, use in zip(dataset.indexes, dataset.colorinterp, strict=True) if use != ColorInterp.alpha]
    if len(first) < count:
        fix = "give red, green and blue" if count == len(_RGB) else "give the bands that the network was trained on"
        raise SiameseError(f"has {len(first)} band{'s' * (len(first) != 1)}, not {count}", where=name, fix=fix)
    return tuple(first[:count])


def _in_blocks(dataset: DatasetReader, folder: Path, image: ImageFile) -> Path:
    path = folder / f"{image.identity[:16].replace('/', '_')}.tif"
    profile = dataset.profile | {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512}
    with rasterio.open(path, "w", **profile, compress="lzw", bigtiff="if_safer") as out:
        out.colorinterp = dataset.colorinterp
        for row in range(0, dataset.height, 512):
            strip = rasterio.windows.Window(0, row, dataset.width, min(512, dataset.height - row))
            out.write(dataset.read(window=strip), window=strip)
    return path


def _stretch(tiles: Sequence[Tile]) -> Stretch | None:
    """One stretch for all tiles of a date, so that they still match; by the rule of ``siamese.imagery``.

    The rule is applied to a sample of about a thousand pixels a side of each tile.
    """
    samples = []
    for tile in tiles:
        with opened(tile.path, tile.name) as dataset:
            shrink = max(1.0, max(tile.width, tile.height) / _SAMPLE_PX)
            shape = max(1, int(tile.height / shrink)), max(1, int(tile.width / shrink))
            pixels = dataset.read(list(tile.bands), out_shape=(len(tile.bands), *shape))
            valid = dataset.dataset_mask(out_shape=shape) > 0
            samples.append(pixels[:, valid])
    values = np.concatenate(samples, axis=1)
    if values.size == 0 or (values.min() >= 0 and values.max() <= 255):
        return Stretch((0.0,) * len(values), (255.0,) * len(values))
    low, high = np.percentile(values, STRETCH_PERCENT, axis=1)
    return Stretch(tuple(map(float, low)), tuple(map(float, high)))
