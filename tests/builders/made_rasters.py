"""Little images with known buildings, and a predictor that knows them by their colour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from shapely.geometry.base import BaseGeometry

from siamese.mapping.area import Area
from siamese.mapping.blocks import Block
from siamese.mapping.decide import Given, decide_buildings, footprint_shifts
from siamese.mapping.footprints import Footprints
from siamese.mapping.inputs import ImageFile
from siamese.mapping.placing import place_images
from siamese.mapping.plans import Rules, plan_block, plan_windows
from siamese.mapping.predict import align
from siamese.mapping.probabilities import BlendedBlocks
from siamese.mapping.publish import write_files
from siamese.mapping.running import predict_block, see_window
from siamese.mapping.shifts import ShiftField
from siamese.mapping.task import lay_imagery
from siamese.mapping.windows import Window
from siamese.model import Decision, Probabilities
from siamese.params import BuildingParams, MappingParams, PredictParams, PublishParams

Image = npt.NDArray[np.uint8]
UTM = "EPSG:32615"
PLACE = Affine(0.5, 0, 400_000, 0, -0.5, 4_100_000)
SMALL = MappingParams(tile_px=96, overlap_px=32, minimum_building_m2=0, minimum_building_px=0)
GROUND = 60


class Colours:
    """Red above 200 in the pre image is building, from 180 a faint one; green of the post image, by 50, is damage.

    Of a post image in grey, the grey is.
    """

    def __init__(self, decision: Decision | None = None, bands: tuple[int, int] = (3, 3)) -> None:
        self.decision, self.bands = decision or Decision(), bands
        self.asked = 0

    def predict(
        self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
    ) -> Probabilities:
        """Reads the colours."""
        del disaster_type, classes_only
        self.asked += 1
        assert (pre.shape[2], post.shape[2]) == self.bands
        red = pre[..., 0]
        building = np.where(red > 200, np.float32(0.9), np.where(red >= 180, np.float32(0.55), np.float32(0.1)))
        number = np.clip(post[..., min(1, self.bands[1] - 1)] // 50, 0, 3)
        damage = np.full((4, *number.shape), 0.1, np.float32)
        np.put_along_axis(damage, number[None].astype(np.intp), 0.7, 0)
        return Probabilities(building, damage)


def pair(height: int, width: int, *buildings: tuple[int, int, int, int, int]) -> tuple[Image, Image]:
    """Two dates; each building is (row, col, height, width, damage class 0..3)."""
    pre, post = (np.full((height, width, 3), GROUND, np.uint8) for _ in range(2))
    for row, col, tall, wide, damage in buildings:
        pre[row : row + tall, col : col + wide] = (250, 120, 120)
        post[row : row + tall, col : col + wide] = (120, 25 + 50 * damage, 120)
    return pre, post


def write(
    path: Path,
    pixels: npt.NDArray[np.generic],
    *,
    crs: str | None = UTM,
    transform: Affine | None = PLACE,
    nodata: float | None = None,
    mask: npt.NDArray[np.bool_] | None = None,
    driver: str = "GTiff",
    **profile: str,
) -> Path:
    """Writes ``(H, W, bands)`` as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, bands = pixels.shape
    place = {"crs": crs, "transform": transform} if crs else {}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
        rasterio.open(
            path,
            "w",
            driver=driver,
            height=height,
            width=width,
            count=bands,
            dtype=pixels.dtype,
            nodata=nodata,
            **place,
            **profile,
        ) as out,
    ):
        out.write(np.moveaxis(pixels, -1, 0))
        if mask is not None:
            out.write_mask(mask)
    return path


@dataclass(frozen=True)
class Drawn:
    """A map on local disk."""

    classes: Path
    buildings: Path
    geojson: Path
    counts: dict[str, int]
    """Without classes that have no building."""
    unknown_share: float
    table: Path
    """The buildings as the second step leaves them."""
    reasons: Path
    reason_shares: dict[str, float]
    shifts: ShiftField | None
    footprint_shifts: ShiftField | None


def draw(
    pre: list[Path],
    post: list[Path],
    folder: Path,
    params: MappingParams = SMALL,
    predictor: Colours | None = None,
    *,
    area: Area | None = None,
    footprints: tuple[tuple[str, BaseGeometry], ...] | None = None,
    aligned: bool = False,
) -> Drawn:
    """Makes a map of files in all its steps, on local disk alone, with the predictor that knows colours.

    Footprints are id and outline in pixels of the map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = predictor or Colours()
    before, after = ([ImageFile(path, path.name, path.name) for path in paths] for paths in (pre, post))
    placed = place_images(before, after, folder, network.bands)
    gsd = params.gsd if isinstance(params.gsd, float) else None
    imagery = lay_imagery(placed, {path.name: path.name for path in (*pre, *post)}, area, gsd)
    given = None
    if footprints is not None:
        outlines = np.array([outline for _, outline in footprints], dtype=object)
        given = Footprints(tuple(name for name, _ in footprints), outlines)
    imagery = replace(imagery, footprints=given, shifts=align(imagery) if aligned else None)
    rules = Rules(obscured=params.find_obscured, count_unseen=params.count_unseen)
    layout = plan_windows(imagery, params.part(PredictParams))
    for window in layout:
        plan = plan_block(imagery, window, {}, alone=len(layout) == 1, rules=rules)
        if plan.key:
            block = predict_block(plan, see_window(plan, imagery.pre, imagery.post), network, None)
        else:
            block = Block.unknown(np.full((window.rows.size, window.cols.size), plan.unseen, np.uint8))
        _block(folder, window).write_bytes(block.to_bytes())
    blended = BlendedBlocks(
        layout, network.decision, lambda window: Block.from_bytes(_block(folder, window).read_bytes(), "block")
    )
    choices = params.part(BuildingParams)
    field = footprint_shifts(blended, given) if given and choices.align_footprints else None
    beside = Given(imagery.area, given, field.at if field else None)
    found = decide_buildings(imagery.grid, blended, network.decision, choices, folder, beside)
    files = write_files(
        imagery.grid, found.classes, found.table, params.part(PublishParams), folder, event="test", model="colours"
    )
    counts = {name: count for name, count in found.counts.items() if count}
    assert found.reasons is not None
    return Drawn(
        files.classes, files.buildings, files.geojson, counts, found.unknown_share, found.table, found.reasons,
        found.reason_shares, imagery.shifts, field,
    )  # fmt: skip


def _block(folder: Path, window: Window) -> Path:
    return folder / f"block-{window.row}-{window.col}"


def read(path: Path) -> Image:
    """The one band of a raster."""
    with rasterio.open(path) as dataset:
        found: Image = dataset.read(1)
    return found
