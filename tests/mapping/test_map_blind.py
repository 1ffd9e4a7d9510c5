"""Unknown is not undamaged: what cannot be judged is unknown with its reason, and blind input says so."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from affine import Affine
from builders.made_rasters import PLACE, SMALL, Colours, draw, read, write
from safetensors.numpy import save
from typer.testing import CliRunner

from siamese.cli.app import app
from siamese.cli.common import check_out
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair
from siamese.mapping.blocks import Block
from siamese.mapping.buildings import read_buildings
from siamese.mapping.obscured import find_obscured
from siamese.mapping.reasons import Reason
from siamese.store import ObjectStore

SIDE = 384
ONE = SMALL.model_copy(update={"tile_px": 384, "overlap_px": 0, "align": False})
Image = np.ndarray


def ground(seed: int, light: int = 0) -> Image:
    """Fields, roads and grain, as sharp as satellite imagery; two seeds are the same place on two days."""
    place, day = np.random.default_rng(1), np.random.default_rng(seed)
    coarse = cv2.resize(place.integers(50, 130, (24, 24, 3), np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    fine = cv2.resize(place.integers(0, 40, (SIDE // 3, SIDE // 3, 3), np.uint8), (SIDE, SIDE))
    grain = day.integers(0, 24, (SIDE, SIDE, 3))
    return np.clip(coarse.astype(int) + fine + grain + light - 30, 1, 255).astype(np.uint8)


def scene() -> tuple[Image, Image]:
    """A place with a building every 48 px, all with minor damage."""
    pre, post = ground(2), ground(3, 6)
    for row in range(12, SIDE - 24, 48):
        for col in range(12, SIDE - 24, 48):
            pre[row : row + 20, col : col + 20] = (240, 120, 120)
            post[row : row + 20, col : col + 20] = (120, 75, 120)
    return pre, post


def white(post: Image) -> Image:
    return np.full_like(post, 255)


def noise(post: Image) -> Image:
    return np.random.default_rng(0).integers(0, 256, post.shape, np.uint8)


def blur(post: Image) -> Image:
    return cv2.GaussianBlur(post, (0, 0), 5)


def haze(post: Image) -> Image:
    return (post * 0.5 + 220 * 0.5).astype(np.uint8)


def cloud(post: Image) -> Image:
    billows = cv2.resize(np.random.default_rng(4).integers(195, 245, (12, 12), np.uint8), (SIDE, SIDE))
    return np.repeat(billows[..., None], 3, axis=2)


def shadow(post: Image) -> Image:
    return (post * 0.08 + 1).astype(np.uint8)


DEGRADED = {
    Reason.SATURATED: white,
    Reason.UNLIKE_TRAINING: noise,
    Reason.BLURRED: blur,
    Reason.HAZE: haze,
    Reason.CLOUD: cloud,
    Reason.SHADOW: shadow,
}


@pytest.mark.parametrize("reason", DEGRADED, ids=lambda reason: reason.word)
def test_half_a_post_image_that_cannot_be_judged_is_unknown_with_its_reason(reason: Reason, tmp_path: Path) -> None:
    pre, post = scene()
    post[:, SIDE // 2 :] = DEGRADED[reason](post)[:, SIDE // 2 :]
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path / "out", ONE)
    codes, classes = read(made.reasons), read(made.classes)
    assert set(np.unique(codes)) == {0, reason}
    left, right = codes[:, : SIDE // 2 - 48], codes[:, SIDE // 2 + 48 :]
    assert not left.any()
    assert (right == reason).mean() > 0.85
    assert made.reason_shares[reason.word] == pytest.approx((codes > 0).mean())
    rows = list(read_buildings(made.table))
    assert len(rows) == 64, "buildings that only the pre image shows are counted"
    assert 24 <= made.counts["unknown"] <= 40
    assert {one.reasons for one in rows if one.damage_class == "unknown"} == {reason.word}
    assert (classes[:, -40:-8] == 255).mean() > 0.9
    assert made.unknown_share == pytest.approx(0.5, abs=0.12)


def test_good_imagery_is_judged(tmp_path: Path) -> None:
    pre, post = scene()
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path / "out", ONE)
    assert (made.counts, made.unknown_share) == ({"minor_damage": 64}, 0)


def test_real_scenes_are_next_to_never_obscured(real_data: Path) -> None:
    shares = {"pre": [], "post": []}
    for path in sorted((real_data / "xbd" / "images").glob("*_pre_disaster.png"))[::6]:
        pre, post = (cv2.imread(str(path).replace("_pre_", f"_{date}_"))[..., ::-1] for date in ("pre", "post"))
        unseen = np.where(pre.any(2), 0, 1).astype(np.uint8) | np.where(post.any(2), 0, 2).astype(np.uint8)
        codes, before = find_obscured(pre, post, unseen)
        shares["pre"].append(float((before & (unseen == 0)).mean()))
        shares["post"].append(float(((codes > 0) & ~before & (unseen == 0)).mean()))
    assert np.mean(shares["pre"]) < 0.02, shares
    assert np.mean(shares["post"]) < 0.02, shares


def test_a_cloud_before_the_disaster_hides_the_buildings_too(tmp_path: Path) -> None:
    pre, post = scene()
    pre[:, SIDE // 2 :] = cloud(pre)[:, SIDE // 2 :]
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path / "out", ONE)
    assert (read(made.reasons)[:, -100:] == Reason.CLOUD).mean() > 0.9
    assert sum(made.counts.values()) <= 40, "nobody knows what stood there"


def paths(folder: Path, pre: Image, post: Image, **more: object) -> tuple[list[str], list[str]]:
    return [str(write(folder / "a.tif", pre, **more))], [str(write(folder / "b.tif", post, **more))]


def test_one_picture_for_both_dates_is_refused_before_the_network_is_asked(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    pre, _ = scene()
    again = np.clip(pre + np.random.default_rng(5).integers(-2, 3, pre.shape), 1, 255).astype(np.uint8)
    network = Colours()
    with pytest.raises(SiameseError, match=r"a.tif and .*b.tif: both dates show the same picture") as raised:
        map_pair(*paths(tmp_path, pre, again), checkpoint, ONE, store, predictor=network)
    assert "\n" not in str(raised.value)
    assert network.asked == 0


def test_pixels_too_coarse_for_buildings_are_refused_and_blind_input_stands_on_the_map(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pre, post = scene()
    network = Colours()
    coarse = paths(tmp_path / "coarse", pre, post, transform=Affine(10, 0, PLACE.c, 0, -10, PLACE.f))
    with pytest.raises(SiameseError, match=r"has pixels of 10 m \(p\w+\), in which no single building can be judged"):
        map_pair(*coarse, checkpoint, ONE, store, predictor=network)
    assert network.asked == 0
    made = map_pair(*paths(tmp_path, pre, white(post)), checkpoint, ONE, store, predictor=network)
    assert made.counts["unknown"] == sum(made.counts.values()) == 64
    assert made.unknown_share > 0.95
    assert any("of the ground cannot be judged: saturated" in one for one in made.warnings)
    assert made.trust is not None
    assert made.trust.reason_shares["saturated"] > 0.95
    assert any("of the ground is unknown (saturated" in one for one in made.trust.statements)
    assert made.trust.statements[0] == "nobody has scored this model: its errors are unknown"
    assert DamageMap.load(store, made.digest) == made


def test_a_damaged_block_is_unknown_and_the_rest_is_mapped_but_a_cut_file_is_refused(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    pre, post = scene()
    tiled = {"tiled": "YES", "blockxsize": "128", "blockysize": "128", "compress": "deflate"}
    before, after = paths(tmp_path, pre, post, **tiled)
    data = bytearray(Path(after[0]).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    Path(after[0]).write_bytes(bytes(data))
    made = map_pair(before, after, checkpoint, ONE, store, predictor=Colours())
    assert 0 < made.unknown_share < 0.4
    assert made.counts["unknown"] > 0
    assert made.counts["minor_damage"] > 30
    assert made.trust is not None
    assert made.trust.reason_shares["unreadable"] > 0
    assert any("cannot be read and are unknown in the map" in one for one in made.warnings)
    Path(after[0]).write_bytes(bytes(data[:middle]))
    with pytest.raises(SiameseError, match="cannot be read"):
        map_pair(before, after, checkpoint, ONE, store, predictor=Colours(), event="cut")


def test_the_folder_for_results_is_checked_first(tmp_path: Path) -> None:
    check_out(tmp_path / "new" / "folder")
    (tmp_path / "file").write_text("x")
    for folder, why in ((tmp_path / "file", "is not a folder"), (tmp_path / "file" / "below", "cannot be written to")):
        with pytest.raises(SiameseError, match=why):
            check_out(folder)


def test_results_do_not_go_among_the_images(tmp_path: Path) -> None:
    (tmp_path / "pre").mkdir()
    (tmp_path / "pre" / "a.tif").write_bytes(b"x")
    (tmp_path / "post.tif").write_bytes(b"x")
    for given in (str(tmp_path / "pre"), str(tmp_path / "pre" / "*.tif")):
        line = ["map", "--pre", given, "--post", str(tmp_path / "post.tif"), "--out", str(tmp_path / "pre")]
        said = CliRunner().invoke(app, line)
        assert isinstance(said.exception, SiameseError)
        assert "is the folder of --pre" in str(said.exception)
    assert [one.name for one in (tmp_path / "pre").iterdir()] == ["a.tif"]


@pytest.mark.parametrize(("name", "why"), [(" ", "blank"), ("a\nb", "control characters"), ("ü" * 60, "too long")])
def test_a_name_that_no_map_can_have_is_refused_first(
    name: str, why: str, store: ObjectStore, checkpoint: Checkpoint
) -> None:
    with pytest.raises(SiameseError, match=why):
        map_pair(["absent"], ["absent"], checkpoint, ONE, store, event=name)


def test_images_without_common_ground_are_refused_or_say_so(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    pre, post = scene()
    far = PLACE @ Affine.translation(SIDE * 2, SIDE * 2)
    corner = [str(write(tmp_path / "a.tif", pre)), str(write(tmp_path / "b.tif", pre, transform=far))]
    # The post image lies where the mosaic of an L has no tile.
    empty = str(write(tmp_path / "c.tif", post, transform=PLACE @ Affine.translation(SIDE * 2, 0)))
    with pytest.raises(SiameseError, match="no ground is shown on both dates"):
        map_pair(corner, [empty], checkpoint, ONE, store, predictor=Colours(), event="corner")
    nothing = str(write(tmp_path / "d.tif", np.zeros_like(post), nodata=0))
    made = map_pair(corner[:1], [nothing], checkpoint, ONE, store, predictor=Colours(), event="nothing")
    assert "no sampled ground is shown on both dates" in made.warnings
    assert made.unknown_share == 1


def test_what_was_mapped_before_there_were_reasons_is_still_read() -> None:
    unseen = np.array([[0, 1, 2, 3]], np.uint8)
    old = {"building": np.full((1, 4), 200, np.uint8), "damage": np.zeros((3, 1, 4), np.uint8), "unseen": unseen}
    block = Block.from_bytes(zlib.compress(save(old)), "old")
    assert block.reasons.tolist() == [[0, Reason.ONE_DATE, Reason.ONE_DATE, Reason.NO_DATA]]
    assert block.building.tolist() == [[200, 0, 0, 0]]
