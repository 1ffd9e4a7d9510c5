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
    """The page of a town of 160 buildings, and the town."""
    folder = tmp_path_factory.mktemp("town") / "page"
    return folder, made_page(folder, 160)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = Browser(playwright)
        yield made
        made.close()


@pytest.fixture
def calm(browser: Browser) -> Iterator[Browser]:
    """The browser; afterwards no page may have complained of anything or asked for a foreign address."""
    browser.problems.clear()
    with browser.tidy():
        yield browser
    assert not browser.problems


@pytest.fixture(scope="session")
def address(town: tuple[Path, Town]) -> Iterator[str]:
    """Where the town's page is served."""
    with serving(town[0]) as found:
        yield found


@pytest.fixture(scope="session")
def opened(browser: Browser, address: str) -> Any:  # noqa: ANN401
    """The town's page, opened once: software draws it, which takes seconds."""
    return browser.open(address)


@pytest.fixture
def page(opened: Any, calm: Browser) -> Any:  # noqa: ANN401
    """The town's page as it is when opened."""
    del calm
    opened.locator("h1").click()
    opened.click("#tab-explore")
    opened.get_by_role("button", name="Reset filters").click()
    opened.locator(".floating").get_by_text("Swipe", exact=True).click()
    opened.evaluate("siamese.page.state.layer.opacity = 1; siamese.page.state.select(-1)")
    opened.get_by_role("button", name="Whole map").click()
    opened.keyboard.press("Escape")
    return opened
