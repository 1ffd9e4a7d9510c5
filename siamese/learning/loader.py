"""Prepares the batches of the next steps in threads, while the network works on this one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

B = TypeVar("B")


class Loader(Generic[B]):
    """Batches in order of steps, some ahead; use it as a context manager."""

    def __init__(self, batch: Callable[[int], B], threads: int) -> None:
        """Prepares ``batch(step)`` of so many steps at once."""
        self._batch, self._threads = batch, threads
        self._pool = ThreadPoolExecutor(threads, "loader")
        self.waited_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, first: int, end: int) -> Iterator[B]:
        """The batches of steps ``first`` to before ``end``; ``waited_s`` grows by how long the caller had to wait."""
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
