"""Runs a task until its manifest is published, in one process or several, resumable after any interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from siamese.learning.collectives import by_first, from_first, rank, world
from siamese.learning.curves import write_curves
from siamese.learning.fabric import opened
from siamese.learning.learner import Learner
from siamese.learning.loop import Loop
from siamese.learning.objective import B, N, O
from siamese.learning.processes import joined, run_processes
from siamese.learning.states import Progress, StateKeeper
from siamese.learning.stopping import stop_on_signal
from siamese.learning.task import Beat, M, Task
from siamese.learning.tracking import Tracker, run_params, run_tags
from siamese.settings import Settings
from siamese.store import ObjectStore


def learn(make: Callable[[ObjectStore], Task[N, B, O, M]], store: ObjectStore) -> M:
    """Runs a task; returns at once if it is already published, and resumes from its last state if it was interrupted.

    Args:
        make: Builds the task in every participating process; must be picklable if there are several.
        store: Where the task's inputs and outputs are stored.

    Returns:
        The published manifest.

    Raises:
        SiameseError: The task raised it, the loss is not a number, or the run was asked to stop (its state is
            kept).
    """
    task = make(store)
    count = task.recipe.processes
    if count == 1 or joined():
        return _learn(task)
    task.check_processes(count)
    found = task.kind.find(store, task.origin.digest)
    if found is None:
        run_processes(count, partial(_learn_apart, make, store.settings, dict(store.environment)))
    return found or task.kind.load(store, task.origin.digest)


def _learn_apart(
    make: Callable[[ObjectStore], Task[N, B, O, M]], settings: Settings, environment: Mapping[str, str]
) -> None:
    _learn(make(ObjectStore(settings, environment)))


def _learn(task: Task[N, B, O, M]) -> M:
    """Runs a task in this process and in those that have joined it."""
    origin, store = task.origin, task.store
    with ExitStack() as stack:
        fabric = stack.enter_context(opened(task.recipe, partial_steps=task.partial_steps))
        task.check_processes(world())
        first = rank() == 0
        found = from_first(task.kind.find(store, origin.digest) if first else None)
        if found is not None:
            return found
        keeper = stack.enter_context(StateKeeper(store, task.kind.folder(store, origin.digest))) if first else None
        kept = from_first(keeper.load() if keeper else None)
        network, start = task.build(fresh=first and kept is None)
        progress, state = kept or (Progress(start=from_first(start)), None)
        learner = Learner(network, task.objective(progress.start), fabric)
        tracker = stack.enter_context(_tracker(task, progress, fabric.device.type)) if first else None
        if tracker and tracker.run_id:
            progress = progress.model_copy(update={"run_id": tracker.run_id})
        with stop_on_signal() as stop:
            loop = Loop(task, learner, progress, keeper, tracker)
            if state is not None:
                loop.restore(state)
            loop.run(stop)
            return by_first(lambda beat: _published(task, loop, keeper, tracker, beat))


def _tracker(task: Task[N, B, O, M], progress: Progress, device: str) -> Tracker:
    return Tracker(
        name=f"{task.verb} {task.origin.digest}",
        params=run_params(task.sections),
        tags=run_tags(task.origin, task.lineage, progress.start, device),
        run_id=progress.run_id,
    )


def _published(
    task: Task[N, B, O, M], loop: Loop[N, B, O, M], keeper: StateKeeper | None, tracker: Tracker | None, beat: Beat
) -> M:
    curves = write_curves(loop.progress.rows)
    published = task.publish(loop.outcome(), loop.progress, curves, beat)
    if tracker:
        if published.figures:
            tracker.log(published.figures, loop.progress.step)
        tracker.keep("curves.csv", curves)
        for name, data in published.files.items():
            tracker.keep(name, data)
    if keeper:
        keeper.sweep()
    return published.manifest
