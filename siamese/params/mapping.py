"""Params of ``siamese map``."""

from __future__ import annotations

from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from siamese.params.section import CHOOSES_INPUT, HOW_ONLY, Section, ValueRange

Part = TypeVar("Part", bound=Section)
_FINEST_M, _COARSEST_M = 0.05, 10.0


class PredictParams(Section):
    """How the network is run to predict a map."""

    tile_px: int = Field(
        1152,
        ge=64,
        le=8192,
        multiple_of=32,
        description="Side of the window that the network sees at once, at most; an xBD tile laid in UTM fits in one.",
    )
    overlap_px: int = Field(
        128, ge=0, description="Overlap of neighbouring windows, over which one fades into the other; at most a half."
    )
    flips: Literal[1, 2, 4] = Field(
        1, description="Views of each pair that are averaged: as it is, mirrored, upside down, both."
    )
    crs: str | None = Field(
        None, description="CRS of images that have coordinates but name none, such as EPSG:32613; others keep theirs."
    )
    value_range: ValueRange | None = Field(
        None,
        description="Values that become 0 and 255, of imagery wider than 8 bits, e.g. [0, 2047]; null: by the file's "
        "metadata or a sample of its pixels (siamese/geo/values.py). Training and maps should agree.",
    )

    gsd: float | Literal["learned"] | None = Field(
        None,
        description="Side of the map's pixels in metres, 0.05 to 10; learned: the median that the network was trained "
        "on; null: that of the finer date.",
    )
    coarsest_m: float = Field(
        5.0,
        gt=0,
        description="Images with coarser pixels, in metres, are refused: no single building can be judged in them.",
    )
    find_obscured: bool = Field(
        True,
        description="Find what cannot be judged although both dates have pixels: cloud, haze, saturation, blur, deep "
        "shadow, noise, or one picture for both dates. It is unknown.",
    )
    count_unseen: bool = Field(
        True,
        description="Also find buildings where only the pre image shows the ground: they are counted as unknown. The "
        "network then runs there too.",
    )
    align: bool = Field(
        True,
        description="Estimate by blocks how far the post images are shifted against the pre images, and read them "
        "there, where the estimate can be trusted.",
    )
    footprint_id: str | None = Field(
        None, description="Column that holds the ids of footprints; null: id, osm_id and the like, else their number."
    )
    bands: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="Positions of the bands to read, counted from 1, e.g. [3, 2, 1] of blue, green, red and near "
        "infrared, or [1, 1, 1] to read grey as colour; null: by the metadata of the file or the STAC item, else the "
        "first ones.",
    )
    post_bands: tuple[int, ...] | None = Field(
        None, min_length=1, description="The same of the post images; null: as for the pre images."
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes of this machine that the windows of one map are spread over; 1: all in one process.",
        json_schema_extra=HOW_ONLY,
    )
    scheduler: str | None = Field(
        None,
        description="Address of a Dask scheduler, tcp://… or tls://…, over whose workers the windows of one map are "
        "spread instead; they need siamese, and the same object storage in their environment.",
        json_schema_extra=HOW_ONLY,
    )
    asset: str | None = Field(
        None, description="Key of the asset to read of STAC items; null: the visual image, else the first image."
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap_px * 2 > self.tile_px:
            raise ValueError(f"overlap_px {self.overlap_px} is more than half of tile_px {self.tile_px}")
        if any(band < 1 for order in self.band_orders for band in order or ()):
            raise ValueError("bands are counted from 1")
        if isinstance(self.gsd, float) and not _FINEST_M <= self.gsd <= _COARSEST_M:
            raise ValueError(f"gsd {self.gsd:g} is not within {_FINEST_M:g} to {_COARSEST_M:g} metres")
        return self

    @property
    def band_orders(self) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
        """Returns the positions of the bands to read of the pre and of the post images; None: by their metadata."""
        return self.bands, self.bands if self.post_bands is None else self.post_bands


class BuildingParams(Section):
    """How buildings are found in a prediction."""

    minimum_building_m2: float = Field(4.0, ge=0, description="Smaller buildings are dropped.")
    minimum_building_px: int = Field(
        16, ge=0, description="The same in pixels, for images whose place on the ground is unknown."
    )
    unknown_from: float = Field(
        0.2,
        gt=0,
        le=1,
        description="A building is unknown when this share of it is under cloud, haze or the like; where a date has "
        "no picture at all, touching is enough.",
    )
    footprint_use: Literal["replace", "merge"] = Field(
        "replace",
        description="Footprints given with --footprints replace the buildings that the network finds; or merge: "
        "the network's are kept where no footprint is.",
    )
    align_footprints: bool = Field(
        True,
        description="Estimate how far the imagery shows buildings away from their footprints, and read their classes "
        "there, where that can be trusted; the footprints themselves stay where they are.",
    )
    right_angles: bool = Field(
        True,
        description="Draw outlines as people do: straight walls, right angles where roofs have them, neighbours apart.",
    )
    simplify_px: float = Field(
        0.75, ge=0, le=10, description="Without right_angles, outlines are simplified by at most this."
    )


class PublishParams(Section):
    """How the files of a map are written."""

    review_below: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A building whose confidence (probability of building times that of its class; of a given "
        "footprint that of its class alone) is less is marked for review; `siamese evaluate` shows how much is wrong "
        "above each confidence.",
    )
    h3_resolution: int = Field(
        9, ge=0, le=12, description="Buildings are counted by H3 cells of this resolution: 9 is 0.1 km², 8 is 0.7 km²."
    )
    areas: str | None = Field(
        None,
        description="File, s3:// object or https:// address of polygons, such as districts, to count buildings in; "
        "null: H3 cells.",
        json_schema_extra=CHOOSES_INPUT,
    )
    area_name: str | None = Field(None, description="Column that names the areas; null: name, else id.")
    picture_px: int = Field(1600, ge=256, le=8192, description="Longer side of the image within the picture.")


class MappingParams(PublishParams, BuildingParams, PredictParams):
    """How a map is made."""

    def part(self, stage: type[Part]) -> Part:
        """Returns the params of one of the three stages of mapping, which determine what that stage makes."""
        return stage.model_validate({name: getattr(self, name) for name in stage.model_fields})
