"""A map in steps: the network is asked once about each window, whatever is killed, changed or added afterwards."""

from __future__ import annotations

import json
import random
import secrets
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from builders.kept_maps import bytes_of, other_buckets, records, the_map
from builders.made_rasters import PLACE, SMALL, Colours, pair, write
from killed_map import Job

from siamese.errors import SiameseError
from siamese.manifests import BuildingSet, Checkpoint, DamageMap, Prediction
from siamese.mapping import map_pair
from siamese.mapping.blocks import BlockShelf
from siamese.mapping.decide import find_buildings
from siamese.mapping.inputs import find_images, identity
from siamese.mapping.stage import BUILDING_SET, PREDICTION
from siamese.model import Decision, Predictor, SiameseUNet
from siamese.params import BuildingParams, MappingParams
from siamese.store import ObjectStore, S3Uri


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A georeferenced pair of 4 x 4 windows, with buildings of every class across them."""
    return scene(tmp_path, 264, 264)


def scene(folder: Path, height: int, width: int) -> tuple[str, str]:
    """Buildings of every class, some across windows, on noise."""
    pre, post = pair(
        height,
        width,
        *((row, col, 22, 26, (row + col) % 4) for row in range(8, height - 30, 42) for col in range(8, width - 30, 41)),
    )
    noise = np.random.default_rng(1).integers(0, 8, pre.shape, np.uint8)
    return str(write(folder / "storm_pre.tif", pre + noise)), str(write(folder / "storm_post.tif", post + noise))


@pytest.mark.parametrize(
    "change", [{"review_below": 0.9}, {"picture_px": 256}, {"right_angles": False}, {"minimum_building_m2": 200.0}]
)
def test_only_the_steps_that_a_param_decides_are_done_again(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str], change: dict[str, float | bool]
) -> None:
    network = Colours()
    first = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network)
    assert network.asked == 16
    params = MappingParams.model_validate(SMALL.model_dump() | change)
    other = map_pair([files[0]], [files[1]], checkpoint, params, store, predictor=network)
    assert network.asked == 16
    assert other.digest != first.digest
    assert other.prediction == first.prediction
    assert (other.building_set == first.building_set) == (not change.keys() & BuildingParams.model_fields.keys())
    assert (
        differing(first, other)
        == {
            "review_below": {"buildings", "geojson"},
            "picture_px": {"picture"},
            "right_angles": {"buildings", "geojson", "picture"},
            "minimum_building_m2": {"classes", "buildings", "geojson", "picture"},
        }[next(iter(change))]
    )


def differing(one: DamageMap, two: DamageMap) -> set[str]:
    """Which files of two maps differ."""
    names = ("classes", "buildings", "geojson", "picture")
    return {name for name in names if getattr(one, name).sha256 != getattr(two, name).sha256}


def test_other_params_of_the_network_ask_it_again(
    store: ObjectStore, checkpoint: Checkpoint, make_checkpoint: Callable[..., Checkpoint], files: tuple[str, str]
) -> None:
    network = Colours()
    map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network)
    larger = SMALL.model_copy(update={"tile_px": 128})
    flipped = SMALL.model_copy(update={"flips": 4})
    for params, one, disaster in (
        (larger, checkpoint, None),
        (flipped, checkpoint, None),
        (SMALL, make_checkpoint(0.4), None),
        (SMALL, checkpoint, "wind"),
    ):
        before = network.asked
        map_pair([files[0]], [files[1]], one, params, store, predictor=network, disaster_type=disaster)
        assert network.asked > before
    before = network.asked
    map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network, event="another", model="named")
    assert network.asked == before


def test_a_map_killed_at_random_blocks_goes_on_and_is_the_same_as_one_undisturbed(
    store: ObjectStore,
    make_checkpoint: Callable[..., Checkpoint],
    network: SiameseUNet,
    files: tuple[str, str],
    tmp_path: Path,
) -> None:
    before, after = (bands(Path(name)) for name in files)
    likely = Predictor(network, Decision()).predict(before, after).building
    checkpoint = make_checkpoint(building=float(np.quantile(likely, 0.9)))
    asked = tmp_path / "asked"
    asked.touch()
    job = Job(store.settings, *files, checkpoint, asked)
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng, kept = random.Random(seed), 0  # noqa: S311
    for _ in range(3):
        at = rng.randint(1, 4)
        assert ended(replace(job, kill_at=at).start()) == -signal.SIGKILL
        # The last block may not have been written when the process ended.
        now = len(records(store))
        assert kept + at - 2 <= now <= kept + at - 1
        kept = now
        assert not list(store.list(store.maps))
    calls = asked.stat().st_size
    assert ended(job.start()) == 0
    assert asked.stat().st_size - calls == 16 - kept, "only the missing blocks"
    went_on = the_map(store)
    with other_buckets(store, tmp_path) as fresh:
        assert ended(replace(job, settings=fresh.settings).start()) == 0
        assert sum(went_on.counts.values()) > 0
        assert bytes_of(fresh, the_map(fresh)) == bytes_of(store, went_on)


def test_two_processes_on_one_map_end_with_the_same_bytes(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str], tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    job = Job(store.settings, *files, checkpoint, asked, colours=True)
    both = [job.start() for _ in range(2)]
    assert [ended(process) for process in both] == [0, 0]
    assert len(records(store)) == 16
    assert 16 <= asked.stat().st_size <= 32
    with other_buckets(store, tmp_path) as fresh:
        alone = map_pair([files[0]], [files[1]], checkpoint, SMALL, fresh, predictor=Colours())
        assert bytes_of(fresh, alone) == bytes_of(store, the_map(store))


def test_new_imagery_redoes_the_blocks_that_it_touches(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str], tmp_path: Path
) -> None:
    network = Colours()
    _, post = pair(264, 264, (8, 8, 22, 26, 3), (150, 150, 40, 40, 1))
    west = write(tmp_path / "west.tif", post[:, :100])
    # 4 x 4 windows start every 64 px and are 96 wide: columns 0 and 64 begin west of column 100. Of ground that only
    # the pre image shows the network is asked for buildings alone.
    first = map_pair([files[0]], [str(west)], checkpoint, SMALL, store, predictor=network)
    assert network.asked == 4 + 2 * 4 + 8
    blind = map_pair(
        [files[0]], [str(west)], checkpoint, SMALL.model_copy(update={"count_unseen": False}), store,
        predictor=network, event="blind",
    )  # fmt: skip
    unseen = [block.unseen for block in Prediction.load(store, str(blind.prediction)).blocks]
    assert unseen == [0, 0, 2, 2] * 4
    assert sum(blind.counts.values()) < sum(first.counts.values())
    before = network.asked
    east = write(tmp_path / "east.tif", post[:90, 170:], transform=PLACE @ PLACE.translation(170, 0))
    second = map_pair([files[0]], [str(west), str(east)], checkpoint, SMALL, store, predictor=network)
    # Rows 0 and 64 of windows reach north of row 90, columns 128 and 192 east of column 170.
    assert network.asked - before == 2 * 4
    assert second.unknown_share < first.unknown_share


@pytest.mark.parametrize("side", ["north", "south", "west", "east"])
def test_a_map_that_grows_keeps_the_blocks_inside(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str], tmp_path: Path, side: str
) -> None:
    network = Colours()
    down, right = {"north": (-100, 0), "south": (264, 0), "west": (0, -100), "east": (0, 264)}[side]
    size = (100, 264) if down else (264, 100)
    more = pair(*size, (20, 20, 30, 40, 2))
    place = PLACE @ PLACE.translation(right, down)
    new = [str(write(tmp_path / f"new_{date}.tif", one, transform=place)) for date, one in zip("ab", more, strict=True)]
    map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network)
    first = network.asked
    grown = map_pair([files[0], new[0]], [files[1], new[1]], checkpoint, SMALL, store, predictor=network)
    assert grown.height * grown.width == 364 * 264
    prediction = Prediction.load(store, str(grown.prediction))
    # Of the 4 x 4 windows at most the outer row or column reaches new ground.
    assert network.asked - first <= len(prediction.blocks) - 12
    with other_buckets(store, tmp_path) as fresh:
        alone = map_pair(
            [files[0], new[0]], [files[1], new[1]], checkpoint, SMALL, fresh, predictor=Colours()
        )  # fmt: skip
        assert bytes_of(fresh, alone) == bytes_of(store, grown)


def test_a_block_that_was_changed_is_refused_and_one_that_is_gone_is_made_again(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str]
) -> None:
    network = Colours()
    made = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network)
    prediction = Prediction.load(store, str(made.prediction))
    block = prediction.blocks[5]
    assert block.data is not None
    shelf = BlockShelf(store)
    store.put(S3Uri.parse(block.data.uri), b"x" * block.data.size)
    with pytest.raises(SiameseError, match="is not what was published"):
        find_buildings(prediction, BuildingParams(simplify_px=2, right_angles=False), store)
    assert shelf.find(block.key) is None
    whole = BlockShelf(store).read(prediction.blocks[6])
    assert shelf.keep(block.key, whole).data.sha256 != block.data.sha256, "a record that points at nothing is replaced"
    assert shelf.find(block.key) is not None


def test_a_map_made_before_there_were_steps_is_read_and_not_made_again(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str]
) -> None:
    network = Colours()
    made = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network, event="storm")
    task = find_images([files[0]], "pre", store), find_images([files[1]], "post", store)
    pre, post = map(identity, task)
    old = {
        "origin": {
            "digest": "0123456789abcdef", "code": "0",
            "params": {"mapping": SMALL.model_dump(mode="json", exclude={"areas", "workers", "scheduler"})},
            "inputs": {"pre": pre, "post": post, "place": "", "event": "storm", "disaster_type": "",
                       "checkpoint": checkpoint.digest},
        },
        "revision": "e7338bf", "created": "2026-11-01T00:00:00Z",
    }  # fmt: skip
    plain = json.loads(made.model_dump_json())
    fields = ("event", "model", "checkpoint", "further", "pre", "post", "crs", "bounds", "width", "height",
              "unknown_share", "classes", "buildings", "geojson", "picture", "counts")  # fmt: skip
    text = json.dumps(old | {name: plain[name] for name in fields}).encode()
    store.put(store.lake / "mapping" / "0123456789abcdef" / "manifest.json", text)
    before = DamageMap.load(store, "0123456789abcdef")
    assert (before.prediction, before.building_set, before.warnings) == (None, None, ())
    before.mark_current(store)
    asked = network.asked
    assert map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network, event="storm") == before
    other = SMALL.model_copy(update={"tile_px": 128})
    assert (
        map_pair([files[0]], [files[1]], checkpoint, other, store, predictor=network, event="storm").prediction
        is not None
    )
    assert network.asked > asked


def test_every_step_says_what_it_was_made_of(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str]
) -> None:
    made = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=Colours())
    buildings = BuildingSet.load(store, str(made.building_set))
    prediction = Prediction.load(store, buildings.prediction)
    assert made.prediction == prediction.digest
    assert prediction.checkpoint == checkpoint.digest
    assert made.steps == {"prediction": PREDICTION.version, "building-set": BUILDING_SET.version}
    assert (buildings.counts, buildings.unknown_share) == (made.counts, made.unknown_share)
    assert prediction.rows == ((0, 96), (64, 160), (128, 224), (192, 264))
    assert len({block.key for block in prediction.blocks}) == 16
    assert prediction.origin.params == {"mapping": {"tile_px": 96, "overlap_px": 32}}
    assert buildings.origin.params == {"mapping": {"minimum_building_m2": 0, "minimum_building_px": 0}}


def bands(path: Path) -> np.ndarray:
    """An image as ``(H, W, bands)``."""
    with rasterio.open(path) as dataset:
        return np.moveaxis(dataset.read(), 0, -1)


def ended(process: BaseProcess) -> int | None:
    """The exit code of a process, once it has one."""
    process.join(400)
    return process.exitcode
