"""Pages of made-up towns, and a browser to look at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders.made_page import Town, made_page

from viewing.browsing import Browser, serving


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Town]:
    """The page of a town of 300 buildings, and the town."""
    folder = tmp_path_factory.mktemp("town") / "page"
    return folder, made_page(folder, 300)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; a test fails if a page complained of anything or asked for a foreign address."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = Browser(playwright)
        yield made
        made.close()


@pytest.fixture
def calm(browser: Browser) -> Iterator[Browser]:
    """The browser; afterwards nothing may have gone wrong on any page."""
    browser.problems.clear()
    yield browser
    assert not browser.problems


@pytest.fixture(scope="module")
def address(town: tuple[Path, Town]) -> Iterator[str]:
    """Where the town's page is served."""
    with serving(town[0]) as found:
        yield found


@pytest.fixture
def page(calm: Browser, address: str) -> Any:  # noqa: ANN401
    """The town's page, opened."""
    opened = calm.open(address)
    yield opened
    opened.context.close()
