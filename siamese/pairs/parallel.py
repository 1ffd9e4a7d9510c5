"""Work on many things at once with bounded memory, results in the order of what came in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    weight: Callable[[Item], float],
    budget: float,
) -> Iterator[Result]:
    """Gives ``work(item)`` for each item, in order, from several threads.

    No more is begun or waits to be taken than the budget allows: an item heavier than the whole of it runs alone.

    Args:
        work: What to do; an exception in it ends the whole.
        items: Taken as needed, never all at once.
        workers: Threads.
        weight: How much memory an item costs, in any unit.
        budget: Sum of the weights of what is under way or not yet taken.
    """
    waiting: deque[tuple[Future[Result], float]] = deque()
    load = 0.0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="scene")
    try:
        for item in items:
            heavy = weight(item)
            while waiting and (load + heavy > budget or len(waiting) >= 2 * workers):
                done, light = waiting.popleft()
                yield done.result()
                load -= light
            waiting.append((pool.submit(work, item), heavy))
            load += heavy
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)
