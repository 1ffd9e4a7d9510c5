"""Work on many scenes at once: in order, within a budget of memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.parallel import ordered_map


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12), max_size=40), st.integers(1, 6))
def test_results_come_in_order_and_the_budget_holds(weights: list[int], workers: int) -> None:
    held: dict[int, int] = {}
    worst = 0

    def items() -> list[tuple[int, int]]:
        return list(enumerate(weights))

    def work(item: tuple[int, int]) -> int:
        nonlocal worst
        held[item[0]] = item[1]
        if len(held) > 1:
            worst = max(worst, sum(held.values()))
        time.sleep(0.0005 * (item[1] % 3))
        return item[0]

    taken = []
    with ThreadPoolExecutor(workers) as pool:
        for number in ordered_map(pool, work, items(), ahead=2 * workers, weight=lambda item: item[1], budget=10):
            taken.append(number)
            del held[number]
    assert taken == list(range(len(weights)))
    assert worst <= 10


def test_items_are_taken_as_needed_and_not_after_a_failure() -> None:
    taken = 0
    go = threading.Event()

    def items() -> object:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    def work(number: int) -> int:
        go.wait(5)
        if number == 3:
            raise ValueError("the third")
        return number

    with ThreadPoolExecutor(2) as pool:
        results = ordered_map(pool, work, items(), ahead=4, budget=100)  # type: ignore[arg-type]
        go.set()
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="the third"):
            list(results)
    assert taken <= 10


def test_work_sees_the_callers_context() -> None:
    run: ContextVar[str] = ContextVar("run")
    run.set("this one")
    with ThreadPoolExecutor(2) as pool:
        assert list(ordered_map(pool, lambda _: run.get(), range(5), ahead=3)) == ["this one"] * 5
