"""One map on several processes: the same bytes as from one, also when a worker is killed in the middle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import rasterio
from builders.kept_maps import bytes_of, other_buckets, records, the_map
from builders.made_rasters import SMALL, pair, write
from dying_worker import Dying

from siamese.errors import SiameseError, TransientError
from siamese.manifests import Checkpoint
from siamese.mapping import map_pair
from siamese.mapping.spread import Spread, WindowWork, predict_windows
from siamese.params import MappingParams
from siamese.store import ObjectStore

SPREAD = MappingParams.model_validate(SMALL.model_dump() | {"workers": 2})


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[str], list[str]]:
    """A georeferenced pair of 4 x 4 windows, with a damaged block in the second date."""
    pre, post = pair(264, 264, *((row, col, 22, 26, 3) for row in range(8, 230, 42) for col in range(8, 230, 41)))
    noise = np.random.default_rng(1).integers(0, 8, pre.shape, np.uint8)
    tiled = {"tiled": "YES", "blockxsize": "64", "blockysize": "64", "compress": "deflate"}
    paths = [write(tmp_path / f"{date}.tif", one + noise, **tiled) for date, one in (("pre", pre), ("post", post))]
    data = bytearray(paths[1].read_bytes())
    with rasterio.open(paths[1]) as file:
        start = int(file.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))
    data[start : start + 200] = b"\xff" * 200
    paths[1].write_bytes(bytes(data))
    return [str(paths[0])], [str(paths[1])]


def test_a_killed_worker_costs_neither_a_window_nor_a_byte(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    mark = tmp_path / "died"
    with Spread(SPREAD, store, call=Dying(mark)) as spread:
        made = map_pair(*files, checkpoint, SPREAD, store, spread=spread)
        assert mark.exists()
        assert workers()
    assert not workers()
    assert len(records(store)) == 16
    assert the_map(store).digest == made.digest
    assert [one for one in made.warnings if "cannot be read and are unknown" in one]
    with other_buckets(store, tmp_path) as fresh:
        alone = map_pair(*files, checkpoint, SMALL, fresh)
        assert alone.warnings == made.warnings
        assert bytes_of(fresh, alone) == bytes_of(store, made)


def workers() -> list[int]:
    """Processes that this one has started in which Python functions run."""
    children = psutil.Process().children()
    return [child.pid for child in children if any("spawn_main" in word for word in child.cmdline())]


def test_a_scheduler_that_does_not_answer_is_one_line(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siamese.mapping.spread._WAIT_S", 1.0)
    params = SPREAD.model_copy(update={"scheduler": "tcp://127.0.0.1:9"})
    with pytest.raises(TransientError, match=r"^tcp://127.0.0.1:9: does not answer: .*mapping.scheduler"):
        map_pair(*files, checkpoint, params, store)
    nonsense = SPREAD.model_copy(update={"scheduler": "gopher://127.0.0.1:9"})
    with pytest.raises(SiameseError, match=r"^gopher://127.0.0.1:9: is no address of a scheduler"):
        map_pair(*files, checkpoint, nonsense, store)


def test_a_worker_with_other_code_refuses(files: tuple[list[str], list[str]]) -> None:
    work = WindowWork(None, (), (3, 3), None, None, (None, None), 1, 16)  # type: ignore[arg-type]
    with pytest.raises(SiameseError, match="install the same version of siamese on every worker"):
        predict_windows(replace(work, version=work.version + 1), [])
