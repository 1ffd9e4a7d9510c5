"""A file read by windows is the file decoded whole, whatever its format; a warp of it is where it should be."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import PLACE, png, tiff
from PIL import Image as Picture

from siamese.geo import decode_image, open_raster, open_rasters, read_header

RNG = np.random.default_rng(7)
HEIGHT, WIDTH = 130, 150


def scene(bands: int = 3) -> np.ndarray:
    """Noise with a black strip, a black hole and a small shadow."""
    image = RNG.integers(1, 256, (HEIGHT, WIDTH, bands)).astype(np.uint8)
    image[:, :3] = image[100:, 100:] = image[20:27, 50:90] = 0
    return image


def pillow(picture: Picture.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


def files() -> dict[str, bytes]:
    """One image of each kind."""
    rgb, wide = scene(), scene().astype(np.uint16) * 8
    alpha = np.where(RNG.random((HEIGHT, WIDTH, 1)) < 0.9, 255, 0).astype(np.uint8)
    floats = scene().astype(np.float32) / 255
    floats[60:80, 60:80] = np.nan
    masked = RNG.random((HEIGHT, WIDTH)) < 0.9
    quantized = Picture.fromarray(rgb).quantize(200)
    return {
        "rgb.png": png(rgb),
        "grey.png": png(rgb[..., :1]),
        "rgba.png": png(np.dstack([rgb, alpha])),
        "grey and alpha.png": pillow(Picture.fromarray(np.dstack([rgb[..., :1], alpha]), "LA")),
        "palette.png": pillow(quantized),
        "clear palette.png": pillow(quantized, transparency=3),
        "two colours.png": pillow(Picture.fromarray(rgb[..., 0] > 100)),
        "clear colour.png": pillow(Picture.fromarray(rgb), transparency=tuple(rgb[50, 60].tolist())),
        "wide.png": png(wide),
        "fine.png": png(RNG.integers(1, 3000, (HEIGHT, WIDTH, 3)).astype(np.uint16)),
        "rgb.tif": tiff(rgb),
        "tiled.tif": tiff(rgb, tiled=True, blockxsize=64, blockysize=64, compress="deflate"),
        "five.tif": tiff(scene(5), photometric="minisblack", alpha="no"),
        "rgba.tif": tiff(np.dstack([rgb, alpha]), photometric="rgb", alpha="yes"),
        "mask.tif": tiff(rgb, mask=masked),
        "nodata.tif": tiff(rgb, nodata=7),
        "palette.tif": tiff(rgb[..., :1], photometric="palette", palette=True),
        "wide.tif": tiff(wide),
        "fine.tif": tiff(RNG.integers(1, 3000, (HEIGHT, WIDTH, 3)).astype(np.uint16), nodata=55),
        "signed.tif": tiff(scene().astype(np.int16)),
        "float.tif": tiff(floats, nodata=np.nan),
        "unplaced.tif": tiff(rgb, crs=None),
    }


FILES = files()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files on disk."""
    folder = tmp_path_factory.mktemp("images")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_windows_are_parts_of_the_whole(name: str, folder: Path, data: st.DataObject) -> None:
    whole = decode_image(FILES[name], name, max_side_px=1000)
    raster = open_raster(folder / name, name, folder / "blocks")
    assert (raster.height, raster.width, len(raster.bands)) == whole.pixels.shape
    assert raster.values == whole.values
    assert raster.crs == whole.crs
    header = read_header(FILES[name], name)
    assert (header.height, header.width, header.bands) == whole.pixels.shape
    row, col = data.draw(st.integers(0, HEIGHT - 1)), data.draw(st.integers(0, WIDTH - 1))
    height, width = data.draw(st.integers(1, HEIGHT - row)), data.draw(st.integers(1, WIDTH - col))
    pixels, valid = raster.read(col, row, width, height)
    part = np.s_[row : row + height, col : col + width]
    np.testing.assert_array_equal(pixels, whole.pixels[part])
    np.testing.assert_array_equal(valid, True if whole.valid is None else whole.valid[part])
    assert (pixels[~valid] == 0).all()


WITHOUT_STRIPS = ("fine", "palette", "colour")


@pytest.mark.parametrize("name", [name for name in FILES if not any(kind in name for kind in WITHOUT_STRIPS)])
def test_black_strips_are_invalid_in_every_format(name: str, folder: Path) -> None:
    whole = decode_image(FILES[name], name, max_side_px=1000)
    assert whole.valid is not None
    assert not whole.valid[:, :3].any()
    assert not whole.valid[100:, 100:].any()
    if "mask" not in name and "alpha" not in name and "rgba" not in name:
        assert whole.valid[20:27, 50:90].all(), "a small shadow stays"


def test_images_of_one_date_share_a_range(folder: Path, tmp_path: Path) -> None:
    dark = RNG.integers(1, 1000, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    (tmp_path / "dark.tif").write_bytes(tiff(dark))
    both = [(tmp_path / "dark.tif", "dark.tif"), (folder / "fine.tif", "fine.tif"), (folder / "rgb.tif", "rgb.tif")]
    one, two, narrow = open_rasters(both, tmp_path)
    assert one.values == two.values
    assert one.values.high > 2900
    assert narrow.values.note == ""


def test_a_large_png_is_read_in_windows_and_is_what_is_decoded_whole(tmp_path: Path) -> None:
    small = {
        "rgb": Picture.fromarray(scene()),
        "palette": Picture.fromarray(scene()).quantize(200),
        "two colours": Picture.fromarray(scene()[..., 0] > 100),
        "grey": Picture.fromarray(scene()[..., 0]),
    }
    for name, picture in small.items():
        options = {"transparency": 3} if name in ("palette", "grey") else {}
        data = pillow(picture.resize((4100, 4200), Picture.Resampling.NEAREST), **options, compress_level=1)
        (tmp_path / f"{name}.png").write_bytes(data)
        raster = open_raster(tmp_path / f"{name}.png", name, tmp_path / "blocks")
        assert raster.path.parent == tmp_path / "blocks"
        whole = decode_image(data, name, max_side_px=5000)
        for col, row, width, height in ((3900, 2900, 200, 1300), (0, 0, 300, 200)):
            pixels, valid = raster.read(col, row, width, height)
            part = np.s_[row : row + height, col : col + width]
            np.testing.assert_array_equal(pixels, whole.pixels[part], err_msg=name)
            np.testing.assert_array_equal(valid, True if whole.valid is None else whole.valid[part], err_msg=name)


def test_another_grid_of_the_same_pixels_reads_the_same(folder: Path) -> None:
    raster = open_raster(folder / "rgb.tif", "rgb.tif", folder)
    whole, valid = raster.read(0, 0, WIDTH, HEIGHT)
    pixels, seen = raster.read_on(raster.crs, PLACE, WIDTH, HEIGHT)
    np.testing.assert_array_equal(pixels, whole)
    np.testing.assert_array_equal(seen, valid)
    beyond, seen = raster.read_on(raster.crs, PLACE @ Affine.translation(-20, -10), 60, 50)
    np.testing.assert_array_equal(beyond[10:, 20:], whole[:40, :40])
    assert not seen[:10].any()
    assert not seen[:, :20].any()
    nowhere, seen = raster.read_on(raster.crs, PLACE @ Affine.translation(9000, 9000), 8, 8)
    assert not seen.any()
    assert nowhere.shape == (8, 8, 3)


def test_a_warp_is_the_same_in_any_window_and_does_not_mix_in_fill(tmp_path: Path) -> None:
    smooth = np.full((400, 500, 3), 200, np.uint8)
    smooth[:, :, 1] = np.linspace(50, 250, 500).astype(np.uint8)
    smooth[150:, :90] = 0
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(smooth))
    raster = open_raster(path, "a.tif", tmp_path)
    target, place = "EPSG:4326", Affine(4e-6, 1e-6, -87.0, 1e-6, -4e-6, 36.1441)
    whole, seen = raster.read_on(target, place, 700, 500)
    assert seen.mean() > 0.2
    assert whole[seen].min() > 45, "no pixel is darkened by fill beside it"
    for col, row in ((0, 0), (123, 77), (400, 250)):
        pixels, valid = raster.read_on(target, place @ Affine.translation(col, row), 200, 200)
        part = np.s_[row : row + 200, col : col + 200]
        np.testing.assert_array_equal(valid, seen[part])
        assert np.abs(pixels.astype(int) - whole[part]).max() <= 1


def test_a_coarse_grid_is_read_decimated(tmp_path: Path) -> None:
    ramps = np.add.outer(np.linspace(20, 100, 800), np.linspace(0, 120, 1200)).astype(np.uint8)
    image = np.dstack([ramps, ramps[::-1], ramps[:, ::-1]])
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(image, tiled=True, blockxsize=256, blockysize=256))
    raster = open_raster(path, "a.tif", tmp_path)
    pixels, valid = raster.read_on(raster.crs, PLACE @ Affine.scale(40), 30, 20)
    assert valid.all()
    assert np.abs(pixels.astype(int) - image[20::40, 20::40]).max() < 8
