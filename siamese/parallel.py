"""Work on many things at once with bounded memory, results in the order of what came in."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    pool: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int,
    weight: Callable[[Item], float] = lambda _: 1.0,
    budget: float = math.inf,
) -> Iterator[Result]:
    """Yields ``work(item)`` for each item, in order.

    The work sees the caller's context variables, by which Prefect knows which run a log line belongs to. Nothing is
    begun beyond what the budget allows: an item heavier than the whole of it runs alone.

    Args:
        pool: Where the work is done.
        work: What to do; an exception in it ends the whole.
        items: Taken as needed, never all at once.
        ahead: How many items are under way or not yet taken, at most.
        weight: How much memory an item costs, in any unit.
        budget: Sum of the weights of what is under way or not yet taken, at most.
    """
    waiting: deque[tuple[Future[Result], float]] = deque()
    load = 0.0
    try:
        for item in items:
            heavy = weight(item)
            while waiting and (load + heavy > budget or len(waiting) >= ahead):
                done, light = waiting.popleft()
                yield done.result()
                load -= light
            waiting.append((pool.submit(copy_context().run, work, item), heavy))
            load += heavy
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for future, _ in waiting:
            future.cancel()
