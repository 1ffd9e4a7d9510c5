"""The page without its server: a folder on a plain web server, and one file opened from disk."""

from __future__ import annotations

import functools
import http.server
import threading
from pathlib import Path
from typing import Any

import pytest
from builders.made_page import Town, made_page
from viewing.browsing import Browser, needs_browser

from siamese.viewing.folders import PAGE_FILES, page_file
from siamese.viewing.onefile import write_one_file

HOSTILE = "</script><script>document.title='taken'</script>"


def teach(page: Any, town: Town) -> None:  # noqa: ANN401
    """Gives two labels and waits until the map is decided anew."""
    page.click("#tab-teach")
    for place in (3, 12):
        page.evaluate("(place) => siamese.page.go(place)", place)
        page.keyboard.press(str(town.truth[place] + 1))
    page.wait_for_function("() => document.querySelector('#panel-teach').dataset.labels === '2'")
    assert page.locator("#adapt-keep").is_hidden()


@needs_browser()
def test_a_folder_on_a_server_without_ranges(calm: Browser, town: tuple[Path, Town]) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(town[0])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = calm.open(f"http://127.0.0.1:{server.server_port}/")
        teach(page, town[1])
    finally:
        server.shutdown()
        server.server_close()


@needs_browser()
def test_one_file_opens_from_disk(calm: Browser, tmp_path: Path) -> None:
    town = made_page(tmp_path / "page", 40, event=HOSTILE, warnings=(HOSTILE,))
    size = write_one_file(tmp_path / "page", tmp_path / "map.html")
    assert size == (tmp_path / "map.html").stat().st_size
    page = calm.open((tmp_path / "map.html").as_uri())
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.title() != "taken"
    # Imagery is there: some tile of both dates was drawn.
    page.evaluate("siamese.page.go(3, true)")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#card canvas')].every((one) => { const d = one.getContext('2d')"
        ".getImageData(0, 0, 352, 352).data; return new Set(d.filter((_, i) => i % 400 === 0)).size > 8 })"
    )
    teach(page, town)
    page.click("#tab-assess")
    page.fill("#assess-size", "10")
    page.click("#assess-start")
    for _ in range(10):
        page.keyboard.press("1")
    page.wait_for_selector("#estimate")


def test_one_file_is_the_same_each_time(town: tuple[Path, Town], tmp_path: Path) -> None:
    write_one_file(town[0], tmp_path / "one.html")
    write_one_file(town[0], tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize("name", PAGE_FILES)
def test_the_page_loads_nothing_from_elsewhere(name: str) -> None:
    text = page_file(name).decode()
    for foreign in ("unpkg.com", "jsdelivr", "googleapis", "cdn.", "demotiles.maplibre.org", "api.maptiler"):
        assert foreign not in text
    if name.endswith(".js"):
        assert "</script" not in text, "it would end the script of a page in one file"
