"""Prepares the batches of upcoming steps in threads while the network works on the current one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

B = TypeVar("B")


class Loader(Generic[B]):
    """Yields batches in step order, preparing some in advance; a context manager."""

    def __init__(self, batch: Callable[[int], B], threads: int) -> None:
        """Prepares ``batch(step)`` for the given number of steps at a time."""
        self._batch, self._threads = batch, threads
        self._pool = ThreadPoolExecutor(threads, "loader")
        self.waited_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, first: int, end: int) -> Iterator[B]:
        """Yields the batches of steps ``first`` to before ``end``; adds the caller's waiting time to ``waited_s``."""
        ahead: deque[Future[B]] = deque()
        following = first
        for _ in range(first, end):
            while following < end and len(ahead) < 2 * self._threads:
                ahead.append(self._pool.submit(self._batch, following))
                following += 1
            started = time.perf_counter()
            batch = ahead.popleft().result()
            self.waited_s += time.perf_counter() - started
            yield batch
