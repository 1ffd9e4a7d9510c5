"""Georeference: the fit finds the map that was there, and says when there is none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import rasterio
from affine import Affine
from builders.made_scenes import PLACE, SIDE, put, tar, tiff
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from siamese.geo.georeference import Georeference, Unplaced, fit_affine
from siamese.ingest import ingest, read_catalog
from siamese.ingest.georeference import from_image
from siamese.params import IngestParams
from siamese.store import ObjectStore

Found = Georeference | Unplaced

MAPS = st.builds(
    lambda lng, lat, metres, turn, skew: (
        Affine.translation(lng, lat) @ Affine.rotation(turn) @ Affine.shear(skew) @ Affine.scale(metres, -metres)
    ),
    st.floats(-179, 179),
    st.floats(-80, 80),
    st.floats(1e-6, 1e-4),
    st.floats(-45, 45),
    st.floats(-10, 10),
)


@settings(max_examples=100, deadline=None)
@given(MAPS, st.integers(0, 1000))
def test_an_affine_map_is_found_again(true: Affine, seed: int) -> None:
    xy = np.random.default_rng(seed).uniform(0, 1024, (12, 2))
    fit = fit_affine(xy, np.array([true @ tuple(point) for point in xy]))
    assert fit is not None
    found, residual = fit
    corner = ~true @ (found @ (1024.0, 1024.0))
    assert np.allclose(corner, (1024, 1024), atol=1e-3)
    assert residual < 1e-3


def test_the_residual_is_the_worst_point_in_pixels() -> None:
    true = Affine(5e-6, 0, -94, 0, -5e-6, 37)
    xy = np.random.default_rng(1).uniform(0, 1024, (4000, 2))
    lng_lat = np.array([true @ tuple(point) for point in xy])
    lng_lat[7] = true @ (xy[7, 0] + 3, xy[7, 1] + 4)
    fit = fit_affine(xy, lng_lat)
    assert fit is not None
    assert fit[1] == pytest.approx(5, abs=0.02)


@pytest.mark.parametrize(
    "xy",
    [[], [(0, 0)], [(0, 0), (9, 9)], [(0, 0), (5, 5), (9, 9)], [(3, 3)] * 8, [(x, 2 * x + 1) for x in range(1000)]],
    ids=["none", "one", "two", "line", "same", "long line"],
)
def test_points_on_one_line_give_no_map(xy: list[tuple[float, float]]) -> None:
    points = np.array(xy, dtype=float).reshape(-1, 2)
    assert fit_affine(points, points * 1e-5) is None


def test_degrees_on_one_line_give_no_map() -> None:
    xy = np.random.default_rng(1).uniform(0, 1024, (12, 2))
    assert fit_affine(xy, np.repeat(xy[:, :1], 2, axis=1) * 1e-5) is None


def test_three_corners_are_enough() -> None:
    xy = np.array([(0, 0), (10, 0), (0, 10)], dtype=float)
    fit = fit_affine(xy, xy * 1e-5 + 30)
    assert fit is not None
    assert fit[0].almost_equals(Affine(1e-5, 0, 30, 0, 1e-5, 30), precision=1e-9)


def found(data: bytes, name: str = "a.tif", beside: Mapping[str, bytes] | None = None, crs: str | None = None) -> Found:
    return from_image(data, name, beside or {}, crs)


def image(crs: str | None, transform: Affine | None = None) -> bytes:
    return tiff(np.zeros((100, 200, 3), np.uint8), crs, transform or PLACE)


def test_a_geotiff_in_metres_has_bounds_in_degrees() -> None:
    place = found(image("EPSG:26915", Affine(0.6, 0, 367_000, 0, -0.6, 4_104_000)))
    assert isinstance(place, Georeference)
    assert place.pixel_m(200, 100) == pytest.approx(0.6)
    bounds = place.bounds(200, 100)
    assert bounds is not None
    west, south, east, north = bounds
    assert -94.6 < west < east < -94.4
    assert 37.0 < south < north < 37.1


def test_a_place_off_the_globe_has_no_bounds() -> None:
    place = found(image("EPSG:4326", Affine(1e-5, 0, 500, 0, -1e-5, 137)))
    assert isinstance(place, Georeference)
    assert place.bounds(200, 100) is None


@pytest.mark.parametrize("west", [179.9995, -180.0005, 539.9995])
def test_bounds_across_the_antimeridian_run_from_east_to_west(west: float) -> None:
    place = found(image("EPSG:4326", Affine(5e-6, 0, west, 0, -5e-6, -17)))
    assert isinstance(place, Georeference)
    assert place.bounds(200, 100) == pytest.approx((179.9995, -17.0005, -179.9995, -17))


def test_why_there_is_none_is_said() -> None:
    bare = found(image(None))
    assert isinstance(bare, Unplaced)
    assert bare.why == "has no georeference"
    assert not bare.meant
    local = found(image('LOCAL_CS["sheet",UNIT["metre",1]]'))
    assert isinstance(local, Unplaced)
    assert local.why == "has a geotransform but no CRS"
    assert local.meant
    named = found(image('LOCAL_CS["sheet",UNIT["metre",1]]'), crs="EPSG:4326")
    assert isinstance(named, Georeference)
    assert (named.crs, named.source) == ("EPSG:4326", "geotiff")


def test_files_beside_it_rank_as_gdal_ranks_them() -> None:
    world = b"5e-6\n0\n0\n-4e-6\n10\n50\n"
    aux = b"<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>20, 5e-6, 0, 40, 0, -4e-6</GeoTransform></PAMDataset>"
    prj = b"EPSG:4269"
    bare, placed = image(None), image("EPSG:4326")
    for data, beside, source, crs, left in (
        (bare, {"a.tfw": world, "a.prj": prj}, "world_file", "EPSG:4269", 10 - 2.5e-6),
        (bare, {"A.TFW": world, "a.PRJ": prj}, "world_file", "EPSG:4269", 10 - 2.5e-6),
        (placed, {"a.tfw": world, "a.prj": prj}, "geotiff", "EPSG:4326", PLACE.c),
        (placed, {"a.tif.aux.xml": aux}, "aux_xml", "EPSG:4326", 20),
        (bare, {"a.tfw": world, "a.prj": prj, "a.tif.aux.xml": aux}, "aux_xml", "EPSG:4326", 20),
    ):
        place = found(data, beside=beside)
        assert isinstance(place, Georeference)
        assert (place.source, place.crs) == (source, crs)
        assert place.transform.c == pytest.approx(left)


SCENE = "test-wind_00000001"


def noise(seed: int) -> np.ndarray:
    """Pixels of one date."""
    return np.random.default_rng(seed).integers(1, 256, (SIDE, SIDE, 3), np.uint8)


def bare_scene(**sidecars: bytes) -> dict[str, bytes]:
    """A scene of TIFFs without georeference, each with these files beside it, by suffix."""
    names = [f"images/{SCENE}_{date}_disaster" for date in ("pre", "post")]
    files = {f"{name}.tif": tiff(noise(number), None) for number, name in enumerate(names)}
    return files | {
        f"{name}.{suffix.replace('_', '.')}": content for name in names for suffix, content in sidecars.items()
    }


WORLD = "\n".join(map(repr, (PLACE.a, 0.0, 0.0, PLACE.e, *(PLACE @ (0.5, 0.5))))).encode()


@pytest.mark.parametrize("packed", [None, "w", "w:gz"])
def test_ingest_places_scenes_by_the_files_beside_them(store: ObjectStore, packed: str | None) -> None:
    files = bare_scene(tfw=WORLD, prj=b"EPSG:4326")
    source = put(store, {"scenes.tar" + packed[1:].replace(":", "."): tar(files, packed)} if packed else files)
    (row,) = read_catalog(store, ingest(source, IngestParams(), store))
    assert (row.verdict, row.georeference, row.crs) == ("unlabelled", "world_file", "EPSG:4326")
    assert row.affine is not None
    assert row.affine.almost_equals(PLACE, 1e-9)
    assert row.bounds is not None
    assert row.notes == ()


def test_ingest_says_what_a_georeference_lacks(store: ObjectStore) -> None:
    for number, (sidecars, crs, georeference, why) in enumerate(
        (
            ({"tfw": WORLD}, None, None, "has a world file"),
            ({"tfw": WORLD}, "EPSG:4326", "world_file", None),
            ({"tfw": b"1 2"}, None, None, "is no world file"),
            ({"tif_aux_xml": b"<PAMDataset/>"}, None, None, None),
            ({"tif_aux_xml": b"<PAMDataset><SRS>EPSG:4326</SRS></PAMDataset>", "tfw": WORLD}, None, "world_file", None),
        )
    ):
        source = put(store, bare_scene(**sidecars), f"in{number}")
        (row,) = read_catalog(store, ingest(source, IngestParams(crs=crs), store))
        assert (row.verdict, row.georeference) == ("unlabelled", georeference), sidecars
        assert len(row.notes) == (2 if why else 0)
        assert why is None or why in row.notes[0]


def with_points(pixels: np.ndarray, bend: float) -> bytes:
    """A TIFF with nine control points, of which the middle one lies off a straight fit."""
    points = [
        GroundControlPoint(row, col, *(PLACE @ (col + bend * (row == col == 32), row)))
        for row in (0, 32, 64)
        for col in (0, 32, 64)
    ]
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8") as dataset:
            dataset.write(np.moveaxis(pixels, -1, 0))
            dataset.gcps = (points, CRS.from_epsg(4326))
        return bytes(memory.read())


def test_ingest_takes_control_points(store: ObjectStore) -> None:
    files = {
        f"test-wind_{number:08d}_{date}_disaster.tif": with_points(noise(seed), bend)
        for number, bend in enumerate((0.0, 5.0))
        for seed, date in enumerate(("pre", "post"))
    }
    straight, bent = read_catalog(store, ingest(put(store, files), IngestParams(), store))
    assert (straight.georeference, straight.crs) == ("gcps", "EPSG:4326")
    assert straight.residual_px == pytest.approx(0, abs=1e-6)
    assert (bent.verdict, bent.georeference) == ("unlabelled", None)
    assert "control points and a straight fit disagree by" in bent.notes[0]
