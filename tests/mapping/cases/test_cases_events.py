"""Names of events that nobody gave, and pointers that do not move to another place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from builders.made_rasters import GROUND, PLACE, UTM
from builders.placed_scenes import (
    DEGREE,
    SIDE,
    Image,
    Map,
    across,
    both,
    place,
)

from siamese.cli.app import main
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap
from siamese.store import ObjectStore


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
