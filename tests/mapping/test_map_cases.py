"""Imagery as users have it: without CRS, turned, across the antimeridian, with control points, with world files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine
from builders.made_rasters import GROUND, PLACE, SMALL, UTM, Colours, pair, write
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.warp import Resampling, reproject

from siamese.cli.app import main
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair
from siamese.store import ObjectStore

SIDE = 200
BUILDINGS = ((20, 20, 30, 40, 0), (60, 85, 40, 30, 3), (130, 40, 24, 24, 1), (140, 150, 30, 36, 2))
"""The second one lies over the middle column."""
EXPECTED = np.zeros((SIDE, SIDE), np.uint8)
for _row, _col, _tall, _wide, _damage in BUILDINGS:
    EXPECTED[_row : _row + _tall, _col : _col + _wide] = _damage + 1
COUNTS = {"no_damage": 1, "minor_damage": 1, "major_damage": 1, "destroyed": 1, "unknown": 0}
DEGREE = 0.5 / 111_320
Image = npt.NDArray[np.uint8]
Map = Callable[..., DamageMap]


@pytest.fixture
def scene() -> dict[str, Image]:
    """Both dates of the same ground, with a frame of it around."""
    return dict(zip(("pre", "post"), pair(SIDE, SIDE, *BUILDINGS), strict=True))


@pytest.fixture
def map_files(store: ObjectStore, checkpoint: Checkpoint) -> Map:
    """Maps files, with a predictor that knows buildings by their colour."""

    def mapped(pre: object, post: object, **options: object) -> DamageMap:
        params = SMALL.model_copy(update={"crs": options.pop("crs", None), "picture_px": 256})
        paths = ([str(one) for one in (date if isinstance(date, list) else [date])] for date in (pre, post))
        return map_pair(*paths, checkpoint, params, store, predictor=Colours(), **options)  # type: ignore[arg-type]

    return mapped


@pytest.fixture
def plain(scene: dict[str, Image], tmp_path: Path) -> dict[str, Path]:
    """Plain GeoTIFFs of both dates."""
    return {date: write(tmp_path / f"plain/{date}.tif", image) for date, image in scene.items()}


@pytest.fixture
def base(plain: dict[str, Path], map_files: Map) -> DamageMap:
    """Their map."""
    return map_files(plain["pre"], plain["post"])


@pytest.fixture
def classes(store: ObjectStore) -> Callable[[DamageMap], tuple[Image, Affine]]:
    """Reads the class raster of a map, and its place."""

    def read(made: DamageMap) -> tuple[Image, Affine]:
        with rasterio.open(io.BytesIO(made.classes.read(store))) as dataset:
            return dataset.read(1), dataset.transform

    return read


@pytest.fixture
def features(store: ObjectStore) -> Callable[[DamageMap], dict[str, Any]]:
    """Reads the GeoJSON of a map."""
    return lambda made: json.loads(made.geojson.read(store))


def place(path: Path, image: Image, crs: str | None, transform: Affine | None, **more: object) -> Path:
    """Writes a GeoTIFF with whatever of a georeference is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {key: value for key, value in (("crs", crs), ("transform", transform)) if value is not None}
    height, width, bands = image.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=image.dtype, **profile, **more
    ) as out:
        out.write(np.moveaxis(image, -1, 0))
    return path


def both(folder: Path, scene: dict[str, Image], crs: str | None, transform: Affine | None) -> list[Path]:
    """Both dates at one place."""
    return [place(folder / f"{date}.tif", image, crs, transform) for date, image in scene.items()]


def turned(image: Image, angle: float, across: float = 0.5, down: float = 0.5) -> tuple[Image, Affine]:
    """The same ground in an image along another track, black around."""
    side = np.array([across, down])
    width, height = (int(n) for n in np.ceil(SIDE * 0.5 * 1.45 / side))
    middle = Affine.translation(*(PLACE @ (SIDE / 2, SIDE / 2)))
    transform = (
        middle @ Affine.rotation(angle) @ Affine.scale(across, -down) @ Affine.translation(-width / 2, -height / 2)
    )
    out = np.zeros((3, height, width), np.uint8)
    reproject(
        np.moveaxis(image, -1, 0), out, src_crs=UTM, src_transform=PLACE, dst_crs=UTM, dst_transform=transform,
        resampling=Resampling.nearest,
    )  # fmt: skip
    return np.moveaxis(out, 0, -1), transform


def on_base(found: Image, transform: Affine, crs: str = UTM) -> Image:
    """A class raster on the pixels of the base map."""
    out = np.full((SIDE, SIDE), 255, np.uint8)
    reproject(
        found, out, src_crs=crs, src_transform=transform, dst_crs=UTM, dst_transform=PLACE, src_nodata=255,
        dst_nodata=255, resampling=Resampling.nearest,
    )  # fmt: skip
    return out


def world(transform: Affine) -> str:
    """What a world file holds: the middle of the first pixel."""
    x, y = transform @ (0.5, 0.5)
    return "\n".join(map(repr, (transform.a, transform.d, transform.b, transform.e, x, y)))


PRJ = CRS.from_string(UTM).to_wkt(version="WKT1_ESRI")
AUX = (
    f"<PAMDataset><SRS>{CRS.from_string(UTM).to_wkt().replace('<', '')}</SRS>"
    f"<GeoTransform>{PLACE.c}, {PLACE.a}, 0, {PLACE.f}, 0, {PLACE.e}</GeoTransform></PAMDataset>"
)


def test_a_pair_on_one_grid_is_mapped_in_pixels_and_says_so(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    made = map_files(*both(tmp_path, scene, None, PLACE))
    np.testing.assert_array_equal(classes(made)[0], EXPECTED)
    assert (made.crs, made.bounds, made.counts, made.unknown_share) == (None, None, COUNTS, 0)
    (note,) = made.warnings
    assert "in pixels: the imagery has a geotransform but no CRS" in note
    assert "--crs EPSG:…" in note
    assert "gdal_edit.py -a_srs" in note


@pytest.mark.parametrize("crs", [UTM, UTM.removeprefix("EPSG:")])
def test_the_crs_can_be_named(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, base: DamageMap,
    classes: Callable[..., Any], crs: str,
) -> None:  # fmt: skip
    made = map_files(*both(tmp_path, scene, None, PLACE), crs=crs)
    np.testing.assert_array_equal(classes(made)[0], EXPECTED)
    assert (made.crs, made.bounds, made.event) == (UTM, base.bounds, base.event)
    mixed = map_files(tmp_path / "pre.tif", plain["post"], crs=crs)
    assert (mixed.crs, mixed.counts) == (UTM, COUNTS)


def test_what_a_drawing_program_calls_a_crs_is_none(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    made = map_files(*both(tmp_path, scene, 'LOCAL_CS["sheet",UNIT["metre",1]]', PLACE))
    assert (made.crs, made.counts) == (None, COUNTS)
    assert "no CRS" in made.warnings[0]


def test_what_cannot_be_placed_is_refused_in_one_line(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map
) -> None:
    bare = both(tmp_path, scene, None, PLACE)
    moved = place(tmp_path / "moved.tif", scene["post"], None, PLACE @ Affine.translation(3, 0))
    only_crs = place(tmp_path / "only_crs.tif", scene["post"], UTM, None)
    placed = plain["post"]
    for pre, post, crs, why in (
        (bare[0], moved, None, r"pre.tif: has a geotransform but no CRS, and the dates .*--crs"),
        (bare[0], placed, None, r"pre.tif: has a geotransform but no CRS, while other images have .*--crs EPSG"),
        ([bare[0], bare[0]], bare[1], None, r"several images .* geotransform but no CRS.*--crs"),
        (placed, only_crs, None, "only_crs.tif: has a CRS but no geotransform, while"),
        (*bare, "EPSG:1", "EPSG:1: is no CRS of the earth"),
        (*bare, "EPSG:4978", "EPSG:4978: is no CRS of the earth"),
    ):  # fmt: skip
        with pytest.raises(SiameseError, match=why) as raised:
            map_files(pre, post, crs=crs)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("angle", "sides"),
    [(20, (0.5, 0.5)), (45, (0.5, 0.5)), (200, (0.5, 0.5)), (-33.3, (0.5, 0.35)), (118, (0.35, 0.5))],
)
def test_along_a_track(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any],
    angle: float, sides: tuple[float, float],
) -> None:  # fmt: skip
    paths = []
    for date, image in scene.items():
        rotated, transform = turned(image, angle, *sides)
        paths.append(place(tmp_path / f"{date}.tif", rotated, UTM, transform, nodata=0))
    made = map_files(*paths)
    found, transform = classes(made)
    assert (transform.a, -transform.e, transform.b) == (min(sides), min(sides), 0)
    assert made.counts == COUNTS
    again = on_base(found, transform)
    assert (again != 255).mean() > 0.98
    assert (again == EXPECTED)[again != 255].mean() > 0.985
    (note,) = made.warnings
    assert f"resampled onto a north-up grid of {min(sides)} m pixels in {UTM}: pre (turned by" in note


@pytest.mark.parametrize("kind", ["south-up", "mirrored", "90", "180", "270"])
def test_right_angles_lose_nothing(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any],
    kind: str,
) -> None:  # fmt: skip
    changes: dict[str, tuple[Callable[[Image], Image], Affine]] = {
        "south-up": (lambda image: image[::-1], Affine(0.5, 0, PLACE.c, 0, 0.5, PLACE.f - 100)),
        "mirrored": (lambda image: image[:, ::-1], Affine(-0.5, 0, PLACE.c + 100, 0, -0.5, PLACE.f)),
        "90": (lambda image: np.rot90(image), Affine(0, -0.5, PLACE.c + 100, -0.5, 0, PLACE.f)),
        "180": (lambda image: np.rot90(image, 2), Affine(-0.5, 0, PLACE.c + 100, 0, 0.5, PLACE.f - 100)),
        "270": (lambda image: np.rot90(image, 3), Affine(0, 0.5, PLACE.c, 0.5, 0, PLACE.f - 100)),
    }
    change, transform = changes[kind]
    made = map_files(*both(tmp_path, {date: change(image) for date, image in scene.items()}, UTM, transform))
    found, where = classes(made)
    assert where.almost_equals(PLACE, 1e-6)
    np.testing.assert_array_equal(found, EXPECTED)
    assert "not north up" in made.warnings[0]


@pytest.mark.parametrize("date", ["pre", "post"])
def test_one_date_turned_lies_on_the_other_ones_grid(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, classes: Callable[..., Any],
    date: str,
) -> None:  # fmt: skip
    rotated, transform = turned(scene[date], 30)
    paths = dict(plain)
    paths[date] = place(tmp_path / "turned.tif", rotated, UTM, transform)
    made = map_files(paths["pre"], paths["post"])
    found, where = classes(made)
    assert (where.c - PLACE.c) % 0.5 == pytest.approx(0, abs=1e-6)
    again = on_base(found, where)
    assert made.counts == COUNTS
    assert (again == EXPECTED)[again != 255].mean() > 0.99
    (note,) = made.warnings
    assert f"{date} (turned by 30°)" in note
    assert ("pre" if date == "post" else "post") not in note.split(": ")[1]


@pytest.mark.parametrize("finer", ["pre", "post"])
def test_the_finer_date_gives_the_resolution(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, classes: Callable[..., Any],
    finer: str,
) -> None:  # fmt: skip
    paths = dict(plain)
    twice = scene[finer].repeat(2, axis=0).repeat(2, axis=1)
    paths[finer] = place(tmp_path / "finer.tif", twice, UTM, PLACE @ Affine.scale(0.5))
    made = map_files(paths["pre"], paths["post"])
    assert (made.width, made.height, made.counts) == (2 * SIDE, 2 * SIDE, COUNTS)
    assert (classes(made)[0][::2, ::2] == EXPECTED).mean() > 0.98
    coarser = "post" if finer == "pre" else "pre"
    assert made.warnings == (f"resampled onto a north-up grid of 0.25 m pixels in {UTM}: {coarser} (pixels of 0.5)",)


def across(image: Image, kind: str) -> Iterator[tuple[Image, str, Affine]]:
    """The same ground with the antimeridian through its middle, as tiles: image, crs, transform."""
    half, degrees = SIDE // 2, Affine.scale(DEGREE, -DEGREE)
    west, east = image[:, :half], image[:, half:]
    left = 180 - half * DEGREE
    if kind == "±180":
        yield west, "EPSG:4326", Affine.translation(left, -17) @ degrees
        yield east, "EPSG:4326", Affine.translation(-180, -17) @ degrees
    elif kind == "0..360":
        yield west, "EPSG:4326", Affine.translation(left, -17) @ degrees
        yield east, "EPSG:4326", Affine.translation(180, -17) @ degrees
    elif kind == "beyond -180":
        yield west, "EPSG:4326", Affine.translation(left - 360, -17) @ degrees
        yield east, "EPSG:4326", Affine.translation(-180, -17) @ degrees
    elif kind == "one image":
        yield image, "EPSG:4326", Affine.translation(left, -17) @ degrees
    elif kind == "one image, west":
        yield image, "EPSG:4326", Affine.translation(left - 360, -17) @ degrees
    elif kind == "Web Mercator":
        pixel, edge, y = 0.5, 20_037_508.342789244, -1_920_000.0
        yield west, "EPSG:3857", Affine(pixel, 0, edge - half * pixel, 0, -pixel, y)
        yield east, "EPSG:3857", Affine(pixel, 0, -edge, 0, -pixel, y)
    elif kind.startswith("zone"):
        epsg = {"zone 1": "EPSG:32701", "zone 60": "EPSG:32760"}[kind]
        xs, ys = rasterio.warp.transform("EPSG:4326", epsg, [180.0], [-17.0])
        yield image, epsg, Affine(0.5, 0, round(xs[0]) - half * 0.5, 0, -0.5, round(ys[0]))


@pytest.mark.parametrize(
    "kind",
    ["±180", "0..360", "beyond -180", "one image", "one image, west", "Web Mercator", "zone 1", "zone 60"],
)
def test_a_map_across_it(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, store: ObjectStore, kind: str,
    classes: Callable[..., Any], features: Callable[..., Any],
) -> None:  # fmt: skip
    dates = [
        [place(tmp_path / f"{date}/{n}.tif", *tile) for n, tile in enumerate(across(image, kind))]
        for date, image in scene.items()
    ]
    made = map_files(*dates)
    assert made.crs in {"EPSG:32701", "EPSG:32760"}
    found, transform = classes(made)
    assert transform.a > 0 > transform.e
    assert found.size < 1.3 * SIDE**2
    assert made.counts == COUNTS
    rows = {name: np.argwhere(found == value).mean(0) for value, name in ((1, "no"), (3, "major"))}
    assert (rows["no"] < rows["major"]).all(), "upper left, and lower right"
    assert made.bounds
    west, south, east, north = made.bounds
    assert 179.9 < west <= 180
    assert -180 <= east < -179.9
    assert south < north
    told = features(made)
    shapes = {one["properties"]["damage_class"]: shapely.geometry.shape(one["geometry"]) for one in told["features"]}
    for shape in shapes.values():
        assert shape.is_valid
        for part in shapely.get_parts(shape):
            assert shapely.bounds(part)[2] - shapely.bounds(part)[0] < 0.01, "never drawn around the world"
    assert shapes["destroyed"].geom_type == "MultiPolygon"
    lngs = shapely.get_coordinates(shapes["destroyed"])[:, 0]
    assert (lngs.max(), lngs.min()) == (180, -180)
    geo = json.loads(pq.read_metadata(io.BytesIO(made.buildings.read(store))).metadata[b"geo"])
    box = geo["columns"]["geometry"]["bbox"]
    assert box == told["bbox"]
    assert west <= box[0] <= 180
    assert -180 <= box[2] <= east
    assert "MultiPolygon" in geo["columns"]["geometry"]["geometry_types"]


def test_tiles_in_both_zones(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    one, two = (next(across(scene["pre"], kind)) for kind in ("zone 60", "zone 1"))
    half = SIDE // 2
    pre = [
        place(tmp_path / "a.tif", one[0][:, :half], *one[1:]),
        place(tmp_path / "b.tif", two[0][:, half:], two[1], two[2] @ Affine.translation(half, 0)),
    ]
    post = place(tmp_path / "post.tif", scene["post"], *next(across(scene["post"], "one image"))[1:])
    made = map_files(pre, post)
    assert made.crs == "EPSG:32760"
    assert sum(made.counts.values()) - made.counts["unknown"] >= 3


def test_beside_it_nothing_changes(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    made = map_files(*both(tmp_path, scene, "EPSG:4326", Affine(DEGREE, 0, -180 + 0.001, 0, -DEGREE, 52)))
    assert made.crs == "EPSG:32601"
    assert made.bounds
    assert -180 < made.bounds[0] < made.bounds[2] < -179.99


def control_points(bend: float = 0, count: int = 5) -> list[GroundControlPoint]:
    """Points over the image; bent ones lie off a straight fit by about so many pixels."""
    places = np.linspace(0, SIDE, count)
    return [
        GroundControlPoint(
            row, col, *(PLACE @ (col + bend * np.sin(row / SIDE * np.pi), row + bend * np.sin(col / SIDE * np.pi)))
        )
        for row in places
        for col in places
    ]


def with_points(folder: Path, scene: dict[str, Image], points: list[GroundControlPoint], crs: str | None) -> list[Path]:
    paths = []
    for date, image in scene.items():
        paths.append(place(folder / f"{date}.tif", image, None, None))
        with rasterio.open(paths[-1], "r+") as dataset:
            dataset.gcps = (points, CRS.from_string(crs) if crs else CRS())
    return paths


def test_straight_ones_place_the_image_as_it_is(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    made = map_files(*with_points(tmp_path, scene, control_points(), UTM))
    found, transform = classes(made)
    assert transform.almost_equals(PLACE, 1e-6)
    np.testing.assert_array_equal(found, EXPECTED)
    assert made.warnings == ("2 images placed by ground control points, which a straight fit meets within 0.01 px",)


def test_bent_ones_warp_it(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    bend = 6.0
    bent = {}
    rows, cols = np.mgrid[:SIDE, :SIDE].astype(np.float64) + 0.5
    for date, image in scene.items():
        row = np.clip(rows + bend * np.sin(cols / SIDE * np.pi), 0, SIDE - 1).astype(int)
        col = np.clip(cols + bend * np.sin(rows / SIDE * np.pi), 0, SIDE - 1).astype(int)
        bent[date] = image[row, col]
    made = map_files(*with_points(tmp_path, bent, control_points(bend, 9), UTM))
    assert made.counts == COUNTS
    again = on_base(*classes(made))
    assert (again == EXPECTED)[again != 255].mean() > 0.985
    assert (again != 255).mean() > 0.85
    straight = map_files(*both(tmp_path / "straight", bent, UTM, PLACE))
    assert (classes(straight)[0] == EXPECTED).mean() < 0.97, "the warp is what brings it back"
    assert "ground control points, which a straight fit meets within" in made.warnings[0]


def test_in_an_aux_xml_beside_a_png(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    points = "".join(
        f'<GCP Id="{n}" Pixel="{one.col}" Line="{one.row}" X="{one.x}" Y="{one.y}"/>'
        for n, one in enumerate(control_points())
    )
    for date, image in scene.items():
        write(tmp_path / f"{date}.png", image, crs=None, driver="PNG")
        aux = f'<PAMDataset><GCPList Projection="{UTM}">{points}</GCPList></PAMDataset>'
        (tmp_path / f"{date}.png.aux.xml").write_text(aux)
    made = map_files(tmp_path / "pre.png", tmp_path / "post.png")
    assert made.crs == UTM
    np.testing.assert_array_equal(classes(made)[0], EXPECTED)


def test_without_a_crs_they_are_coordinates_without_one(
    scene: dict[str, Image], tmp_path: Path, map_files: Map
) -> None:
    paths = with_points(tmp_path, scene, control_points(), None)
    made = map_files(*paths)
    assert (made.crs, made.counts) == (None, COUNTS)
    assert "ground control points but no CRS (name their CRS with --crs" in made.warnings[0]
    assert map_files(*paths, crs=UTM).crs == UTM


def test_what_is_no_use_is_refused_in_one_line(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map
) -> None:
    line = [GroundControlPoint(n, n, *(PLACE @ (n, n))) for n in (0, 50, 100)]
    mad = [*control_points(), GroundControlPoint(50, 50, PLACE.c + 5000, PLACE.f)]
    flat = with_points(tmp_path / "line", scene, line, UTM)
    wild = with_points(tmp_path / "wild", scene, mad, UTM)
    sensor = RPC(
        height_off=10, height_scale=100, lat_off=37, lat_scale=0.1, line_off=100, line_scale=100, long_off=-94,
        long_scale=0.1, samp_off=100, samp_scale=100, line_num_coeff=[0.0] * 20, line_den_coeff=[1.0] + [0.0] * 19,
        samp_num_coeff=[0.0] * 20, samp_den_coeff=[1.0] + [0.0] * 19,
    )  # fmt: skip
    raw = [place(tmp_path / f"raw/{date}.tif", image, None, None) for date, image in scene.items()]
    for path in raw:
        with rasterio.open(path, "r+") as dataset:
            dataset.rpcs = sensor
    for paths, why in (
        (flat, "pre.tif: has 3 ground control points, too few or all on one line"),
        (wild, "pre.tif: has ground control points that contradict each other by"),
        (raw, "pre.tif: is placed by RPCs alone.*gdalwarp -rpc"),
        ([plain["pre"], raw[1]], "post.tif: is placed by RPCs alone.*gdalwarp -rpc"),
    ):
        with pytest.raises(SiameseError, match=why) as raised:
            map_files(*paths)
        assert "\n" not in str(raised.value)


WORLD_AND_PRJ = {"{}.tfw": "world", "{}.prj": "prj"}


@pytest.mark.parametrize(
    ("where", "image", "beside"),
    [
        ("files", "{}.tif", WORLD_AND_PRJ),
        ("files", "{}.tif", {"{}.TFW": "world", "{}.PRJ": "prj"}),
        ("files", "{}.TIF", {"{}.tfw": "world", "{}.tif.aux.xml": "srs"}),
        ("files", "{}.tiff", {"{}.tiffw": "world", "{}.prj": "prj"}),
        ("files", "{}.tif", {"{}.wld": "world", "{}.prj": "prj"}),
        ("files", "{}.png", {"{}.pgw": "world", "{}.prj": "prj"}),
        ("files", "{}.png", {"{}.PGW": "world", "{}.png.aux.xml": "srs"}),
        ("files", "{}.png", {"{}.png.aux.xml": "aux"}),
        ("folder", "{}.tif", WORLD_AND_PRJ),
        ("glob", "{}.tif", {**WORLD_AND_PRJ, "{}.tif.aux.xml": "statistics"}),
        ("objects", "{}.tif", WORLD_AND_PRJ),
        ("objects", "{}.png", {"{}.PGW": "world", "{}.PRJ": "prj"}),
        ("prefix", "{}.png", {"{}.png.aux.xml": "aux"}),
        ("prefix", "{}.tif", {"{}.TFW": "world", "{}.prj": "prj"}),
    ],
)
def test_files_beside_an_image_place_it_on_disk_and_on_s3(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, store: ObjectStore, classes: Callable[..., Any],
    where: str, image: str, beside: dict[str, str],
) -> None:  # fmt: skip
    content = {
        "world": world(PLACE), "prj": PRJ, "aux": AUX, "srs": f"<PAMDataset><SRS>{PRJ}</SRS></PAMDataset>",
        "statistics": '<PAMDataset><PAMRasterBand band="1"/></PAMDataset>',
    }  # fmt: skip
    given = []
    for date, pixels in scene.items():
        folder, driver = tmp_path / date, "PNG" if image.endswith("png") else "GTiff"
        path = write(folder / image.format(date), pixels, crs=None, driver=driver)
        for name, kind in beside.items():
            (folder / name.format(date)).write_text(content[kind])
        (folder / "other.tfw").write_text("for another image")
        if where in ("objects", "prefix"):
            for one in folder.iterdir():
                store.upload(one, store.raw / date / one.name)
        addresses = {
            "files": path, "folder": folder, "glob": folder / f"{date}*",
            "objects": store.raw / date / path.name, "prefix": f"{store.raw}{date}/",
        }  # fmt: skip
        given.append(addresses[where])
    made = map_files(*given)
    found, transform = classes(made)
    assert (made.crs, transform) == (UTM, PLACE)
    np.testing.assert_array_equal(found, EXPECTED)
    assert "placed by a" in made.warnings[0]


def test_a_world_file_without_a_crs_says_what_is_missing(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, base: DamageMap
) -> None:
    paths = [write(tmp_path / f"{date}.tif", image, crs=None) for date, image in scene.items()]
    for path in paths:
        path.with_suffix(".tfw").write_text(world(PLACE))
    made = map_files(*paths)
    assert (made.crs, made.counts) == (None, COUNTS)
    assert "a world file (pre.tfw) but no CRS (put pre.prj beside it, or name the CRS with --crs" in made.warnings[0]
    placed = map_files(*paths, crs=UTM)
    assert (placed.crs, placed.bounds, placed.counts) == (UTM, base.bounds, COUNTS)
    with pytest.raises(SiameseError, match=r"pre.tif: has a world file \(pre.tfw\) but no CRS, while other images"):
        map_files(paths[0], plain["post"])


def test_a_file_that_changes_gives_another_map(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    paths = [write(tmp_path / f"{date}.tif", image, crs=None) for date, image in scene.items()]
    for path in paths:
        path.with_suffix(".tfw").write_text(world(PLACE))
        path.with_suffix(".prj").write_text(PRJ)
    first = map_files(*paths)
    for path in paths:
        path.with_suffix(".tfw").write_text(world(PLACE @ Affine.translation(400, 0)))
    second = map_files(*paths)
    assert first.digest != second.digest
    assert first.bounds != second.bounds


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("pre.tfw", "1 2 3", r"pre.tfw: is no world file: it must hold six numbers"),
        ("pre.tfw", "0 0 0 0 0 0", r"pre.tfw: is no world file: its six numbers"),
        ("pre.prj", "nothing", r"pre.prj: holds no CRS"),
        ("pre.tif.aux.xml", "<PAMDataset>", r"pre.tif.aux.xml: cannot be read"),
        ("pre.tif.aux.xml", '<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset/>', "defines entities"),
        ("pre.tif.aux.xml", "<PAMDataset><GeoTransform>1, 2</GeoTransform></PAMDataset>", "cannot be read"),
    ],
)
def test_a_damaged_one_is_named(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, name: str, content: str, why: str
) -> None:
    paths = [write(tmp_path / f"{date}.tif", image, crs=None) for date, image in scene.items()]
    (tmp_path / name).write_text(content)
    with pytest.raises(SiameseError, match=why) as raised:
        map_files(*paths)
    assert "\n" not in str(raised.value)


def test_maps_of_two_places_never_share_a_name(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, base: DamageMap, store: ObjectStore
) -> None:
    assert base.event == "37.0404N_94.1239W"
    away = map_files(*both(tmp_path / "away", scene, UTM, PLACE @ Affine.translation(SIDE, 0)))
    changed = {"pre": scene["pre"], "post": np.full_like(scene["post"], GROUND)}
    later = map_files(*both(tmp_path / "later", changed, UTM, PLACE))
    assert away.event != base.event == later.event
    for made in (base, away, later):
        made.mark_current(store)
    assert DamageMap.current(store, base.event) == later
    assert DamageMap.current(store, away.event) == away


def test_in_pixels_the_name_is_made_of_the_images(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    maps = [
        map_files(*both(tmp_path / str(number), {date: image + number for date, image in scene.items()}, None, None))
        for number in range(2)
    ]
    names = {made.event for made in maps}
    assert len(names) == 2
    assert all(name.startswith("pixels-") for name in names)


def test_an_xbd_scene_keeps_its_name(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    paths = [
        place(tmp_path / f"joplin-tornado_00000001_{date}_disaster.tif", image, UTM, PLACE)
        for date, image in scene.items()
    ]
    assert map_files(*paths).event == "joplin-tornado_00000001"


def test_a_name_does_not_move_to_another_place_unasked(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, store: ObjectStore
) -> None:
    here = both(tmp_path / "here", scene, UTM, PLACE)
    away = both(tmp_path / "away", scene, UTM, PLACE @ Affine.translation(10 * SIDE, 0))
    beside = both(tmp_path / "beside", scene, UTM, PLACE @ Affine.translation(SIDE // 2, 0))
    first, second, third = (map_files(*paths, event="storm") for paths in (here, away, beside))
    first.mark_current(store)
    with pytest.raises(
        SiameseError, match=rf"storm: its current map, {first.digest}, shows another place.*--new-place"
    ):
        second.mark_current(store)
    assert DamageMap.current(store, "storm") == first
    third.mark_current(store)
    first.mark_current(store)
    second.mark_current(store, new_place=True)
    assert DamageMap.current(store, "storm") == second


def test_across_the_antimeridian_too(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, store: ObjectStore
) -> None:
    tiles = {date: next(across(image, "zone 1")) for date, image in scene.items()}
    over = [place(tmp_path / f"{date}.tif", *tile) for date, tile in tiles.items()]
    beside = both(tmp_path / "b", scene, "EPSG:4326", Affine(DEGREE, 0, -180 + DEGREE, 0, -DEGREE, -17))
    away = both(tmp_path / "c", scene, "EPSG:4326", Affine(DEGREE, 0, 179.9, 0, -DEGREE, -17))
    first, second, third = (map_files(*paths, event="cyclone") for paths in (over, beside, away))
    first.mark_current(store)
    second.mark_current(store)
    with pytest.raises(SiameseError, match="shows another place"):
        third.mark_current(store)


def test_what_nobody_can_know_is_told(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, store: ObjectStore,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    one = map_files(*both(tmp_path / "one", scene, None, None), event="storm")
    two = map_files(*both(tmp_path / "two", scene, UTM, PLACE), event="storm")
    one.mark_current(store)
    two.mark_current(store)
    assert any("unknown without a georeference" in message for message in caplog.messages)
    assert DamageMap.current(store, "storm") == two


def test_the_command_writes_the_files_and_refuses_to_move_the_name(
    scene: dict[str, Image], tmp_path: Path, store: ObjectStore, checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{name.upper()}_BUCKET", getattr(store.settings, f"{name}_bucket"))
    params = tmp_path / "params.yaml"
    params.write_text("mapping: {tile_px: 96, overlap_px: 32, picture_px: 256}\n")
    here = both(tmp_path / "here", scene, None, PLACE)
    away = both(tmp_path / "away", scene, None, PLACE @ Affine.translation(10 * SIDE, 0))

    def run(paths: list[Path], *more: str) -> int:
        words = ["map", "--pre", str(paths[0]), "--post", str(paths[1]), "--out", str(tmp_path / "out")]
        words += ["--model", checkpoint.digest, "--params", str(params), "--event", "storm", "--crs", UTM, *more]
        with pytest.raises(SystemExit) as ended:
            main(words)
        return int(ended.value.code or 0)

    assert run(here) == 0
    assert run(away) == 1
    assert "--new-place" in capfd.readouterr().err
    assert run(away, "--new-place") == 0
    made = DamageMap.model_validate_json((tmp_path / "out/map.json").read_bytes())
    assert made.crs == UTM
    assert DamageMap.current(store, "storm") == made
