"""Writes sample scenes into a folder in xBD's flat layout, on all cores, resuming an interrupted run."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import psutil
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import SUBTYPES
from siamese.errors import SiameseError
from siamese.params import SampleParams
from siamese.progress import progress
from siamese.sample.arrays import Bytes
from siamese.sample.labels import label_pair
from siamese.sample.plan import Event, ScenePlan, plan_scene
from siamese.sample.scene import picture

GENERATION: Final = 1
"""Incremented whenever the same params produce different bytes than before."""

_PART: Final = re.compile(r"\.sample-.+\.(?P<pid>\d{1,9})\.part")
_PARTS: Final = ("images", "labels")


class Sample(BaseModel):
    """The contents of a folder of sample scenes."""

    model_config = ConfigDict(frozen=True)

    folder: Path = Field(description="Where the scenes lie.")
    scenes: int = Field(description="Number of scenes.")
    empty: int = Field(description="Scenes without buildings.")
    buildings: dict[str, int] = Field(description="Buildings by subtype.")
    written: int = Field(description="Scenes written by this call; the others were there already.")


def write_sample(folder: Path, params: SampleParams) -> Sample:
    """Writes a set of synthetic scenes: ``images/`` and ``labels/`` as in xBD.

    The same params give the same bytes; scene ``i`` does not depend on the number of scenes. An interrupted run
    resumes with the scenes that are incomplete.

    Args:
        folder: Where to write; created if missing. It may hold nothing but scenes of this set.
        params: Number of scenes, seed, and disaster type.

    Raises:
        SiameseError: The folder holds anything else, or cannot be written.
    """
    event: Event | None = None if params.event == "mixed" else params.event
    mark = f"SAMPLE-{GENERATION}-{params.event}-{params.seed}"
    plans = [plan_scene(index, params.seed, event) for index in range(params.scenes)]
    try:
        _refuse_strangers(folder, plans)
        for part in _PARTS:
            (folder / part).mkdir(parents=True, exist_ok=True)
        counts: dict[int, Mapping[str, int]] = {
            plan.index: _count(folder, plan, mark) for plan in plans if _whole(folder, plan)
        }
        missing = [plan for plan in plans if plan.index not in counts]
        for index, count in _make_all(folder, missing, params.seed, mark):
            counts[index] = count
        # Processes of a run that was killed just before this one began may have ended only meanwhile.
        _refuse_strangers(folder, plans)
    except BrokenProcessPool as error:
        raise SiameseError(
            "a worker process was killed", where=str(folder), fix="run it again: it goes on where it was"
        ) from error
    except OSError as error:
        raise SiameseError(
            f"cannot be written: {error.strerror}", where=str(folder), fix="choose another folder"
        ) from error
    total = {subtype: sum(count.get(subtype, 0) for count in counts.values()) for subtype in SUBTYPES}
    empty = sum(not any(count.values()) for count in counts.values())
    return Sample(folder=folder, scenes=len(plans), empty=empty, buildings=total, written=len(missing))


def _files(folder: Path, plan: ScenePlan) -> tuple[Path, ...]:
    return tuple(
        folder / part / f"{plan.name}_{when}_disaster.{ending}"
        for part, ending in (("images", "png"), ("labels", "json"))
        for when in ("pre", "post")
    )


def _whole(folder: Path, plan: ScenePlan) -> bool:
    return all(path.is_file() for path in _files(folder, plan))


def _refuse_strangers(folder: Path, plans: list[ScenePlan]) -> None:
    """Removes files left half-written by a dead run; anything else that does not belong to this set is an error."""
    own = {path for plan in plans for path in _files(folder, plan)} | {folder / part for part in _PARTS}
    inside = (
        path for place in (folder, *(folder / part for part in _PARTS)) if place.exists() for path in place.iterdir()
    )
    for path in inside:
        if path in own:
            continue
        if part := _PART.fullmatch(path.name):
            if not psutil.pid_exists(int(part["pid"])):
                path.unlink(missing_ok=True)
            continue
        raise SiameseError(
            "is no part of this sample", where=str(path), fix="name an empty folder, or the same scenes, seed and event"
        )


def _count(folder: Path, plan: ScenePlan, mark: str) -> Counter[str]:
    """Counts the buildings by subtype of a scene that already exists."""
    path = _files(folder, plan)[-1]
    try:
        label = json.loads(path.read_bytes())
        found = label["metadata"]["catalog_id"]
        count = Counter(str(building["properties"]["subtype"]) for building in label["features"]["xy"])
    except (ValueError, KeyError, TypeError) as error:
        raise SiameseError(
            "not a label of this sample", where=str(path), fix="delete it, or name another folder"
        ) from error
    if found != mark:
        raise SiameseError(f"belongs to {found}, not {mark}", where=str(path), fix="name another folder")
    return count


def _make_all(folder: Path, plans: list[ScenePlan], seed: int, mark: str) -> Iterator[tuple[int, Mapping[str, int]]]:
    """Makes scenes on all cores, in no particular order, with no more in progress than keep the cores busy."""
    if not plans:
        return
    cores = min(len(os.sched_getaffinity(0)), len(plans))
    context = multiprocessing.get_context("spawn")
    ahead = iter(plans)
    with (
        progress("sample scenes", len(plans)) as advance,
        ProcessPoolExecutor(cores, mp_context=context, initializer=_one_thread) as pool,
    ):
        running: set[Future[tuple[int, dict[str, int]]]] = set()
        try:
            while True:
                fresh = islice(ahead, 3 * cores - len(running))
                running |= {pool.submit(_make, folder, plan, seed, mark) for plan in fresh}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    advance()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _make(folder: Path, plan: ScenePlan, seed: int, mark: str) -> tuple[int, dict[str, int]]:
    drawn = picture(plan, seed)
    pre, post, counts = label_pair(plan, seed, drawn, mark)
    for path, content in zip(_files(folder, plan), (_png(drawn.pre), _png(drawn.post), pre, post), strict=True):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        temporary.write_bytes(content)
        temporary.replace(path)
    return plan.index, counts


def _png(image: Bytes) -> bytes:
    # Measured on these images: half the time of the default at the same size, since noise has no runs to match.
    how = [
        *(cv2.IMWRITE_PNG_COMPRESSION, 1),
        *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
        *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
    ]
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), how)[1].tobytes()
