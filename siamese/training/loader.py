"""Prepares the batches of the next steps in threads, while the network works on this one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

B_co = TypeVar("B_co", covariant=True)


class Source(Protocol[B_co]):
    """Makes batches; threads may share it."""

    def batch(self, step: int, /) -> B_co:
        """The batch of a step."""


class Loader(Generic[B_co]):
    """Batches in order of steps, some ahead; use it as a context manager."""

    def __init__(self, source: Source[B_co], threads: int) -> None:
        self._source, self._threads = source, threads
        self._pool = ThreadPoolExecutor(threads, "loader")
        self.waited_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, first: int, end: int) -> Iterator[tuple[int, B_co]]:
        """The batches of steps ``first`` to before ``end``; ``waited_s`` tells how long the caller had to wait."""
        ahead: deque[Future[B_co]] = deque()
        following = first
        for step in range(first, end):
            while following < end and len(ahead) < 2 * self._threads:
                ahead.append(self._pool.submit(self._source.batch, following))
                following += 1
            started = time.perf_counter()
            batch = ahead.popleft().result()
            self.waited_s += time.perf_counter() - started
            yield step, batch
