"""An analyst's hour on the page of a map, done by a program with a real browser: docs/analyst.md shows its pictures.

It swipes, keeps the destroyed buildings alone, teaches twelve and assesses thirty, all by the keys that a person
presses. What a building truly is comes from an xBD label of the same ground: the class of the outline that its middle
lies in, no building where there is none. It is one visit, of which nothing can be left out, so there is no --minutes.
Run `siamese view MAP --no-browser` first. Prints one JSON line.

    siamese sample truth --scenes 1 --event wind --seed 31
    python benchmarks/hour.py http://127.0.0.1:PORT/ --label truth/labels/NAME_post_disaster.json --out docs
    python benchmarks/hour.py --files maps/export --out docs

The last writes pictures of a map's picture.png and report.html.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import shapely

from siamese.classes import SUBTYPES

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS: Final = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
KEYS: Final = {name: str(number) for name, number in SUBTYPES.items() if number <= 4}
NO_BUILDING: Final = "5"
UNCLEAR: Final = "6"
_PATIENCE_MS: Final = 300_000
_MOST_BYTES: Final = 140_000
_WIDEST: Final = 1280
_MIDDLES: Final = """
() => {
  const { buildings, plane } = siamese.page.state;
  return buildings.ids.map((_, i) => plane.toLngLat([buildings.at[2 * i], buildings.at[2 * i + 1]]));
}
"""


class Truth:
    """What the buildings of a map truly are, as far as an xBD label says."""

    def __init__(self, label: Path) -> None:
        found = json.loads(label.read_text())["features"]["lng_lat"]
        self._tree = shapely.STRtree([shapely.from_wkt(one["wkt"]) for one in found])
        self._kinds = [one["properties"].get("subtype", "un-classified") for one in found]

    def key(self, lng: float, lat: float) -> str:
        """Returns the key that labels a building whose middle lies here."""
        places = self._tree.query(shapely.Point(lng, lat), predicate="intersects")
        return KEYS.get(self._kinds[places[0]], UNCLEAR) if len(places) else NO_BUILDING


class Hour:
    """One visit of a page."""

    def __init__(self, page: Any, truth: Truth, out: Path) -> None:  # noqa: ANN401 - Playwright is not always there
        self._page, self._out = page, out
        self._keys = [truth.key(*middle) for middle in page.evaluate(_MIDDLES)]

    def look(self) -> dict[str, Any]:
        """Swipes, then shows the destroyed buildings alone."""
        page = self._page
        page.locator(".floating").get_by_text("Swipe", exact=True).click()
        slider = page.get_by_role("slider", name="Boundary between before and after")
        slider.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        self.picture("swipe")
        counts = self._counts()
        for name in ("no_damage", "minor_damage", "major_damage", "unknown"):
            page.uncheck(f"#class-{name}")
        self.picture("destroyed")
        left = self._counts()
        page.get_by_role("button", name="Reset filters").click()
        return {"buildings": sum(counts), "by_class": counts, "destroyed": sum(left)}

    def teach(self, count: int) -> dict[str, Any]:
        """Labels buildings that the page proposes."""
        page = self._page
        page.click("#tab-teach")
        page.keyboard.press("n")
        page.wait_for_selector("#card:not([hidden])")
        given: Counter[str] = Counter()
        for number in range(count):
            place = page.evaluate("siamese.page.state.selected")
            if number == count - 1:
                self.picture("teach")
            page.keyboard.press(self._keys[place])
            given[self._keys[place]] += 1
            page.wait_for_function(
                "([place, n]) => siamese.labels.size === n && siamese.page.state.selected !== place",
                arg=[place, number + 1],
            )
        page.wait_for_function("(n) => document.querySelector('#panel-teach').dataset.labels === String(n)", arg=count)
        told = page.get_by_text("Decided anew").inner_text()
        return {"keys": dict(sorted(given.items())), "told": told, "kept": self._hand_in("adapt", "labels.geojson")}

    def assess(self, count: int) -> dict[str, Any]:
        """Labels a random sample."""
        page = self._page
        page.click("#tab-assess")
        page.fill("#assess-size", str(count))
        page.click("#assess-start")
        page.wait_for_selector("#assess-progress")
        sample = page.evaluate("siamese.sample()")
        for number, place in enumerate(sample):
            page.keyboard.press(self._keys[place])
            page.wait_for_function("(n) => siamese.judged.size >= n", arg=number + 1)
        page.wait_for_function(
            "(n) => document.querySelector('#panel-assess').dataset.sampled === String(n)", arg=len(sample)
        )
        page.locator("#estimate").scroll_into_view_if_needed()
        self.picture("assess")
        rows = [row.split("\t") for row in page.locator("#estimate tbody tr").all_inner_texts()]
        return {"sampled": len(sample), "table": rows, "kept": self._hand_in("assess", "sample.geojson")}

    def picture(self, name: str) -> None:
        """Takes a picture of the page, as JPEG of a size that a repository bears."""
        self._page.wait_for_function("() => siamese.page.view.map.loaded()")
        self._page.wait_for_timeout(1500)
        write_picture(self._page.screenshot(), self._out / f"hour-{name}.jpg")

    def _counts(self) -> list[int]:
        cells = self._page.locator("#counts tbody td:nth-child(3)").all_inner_texts()
        return [int(text.replace(",", "")) for text in cells]

    def _hand_in(self, verb: str, name: str) -> str:
        """Saves the labels as a file, and on the bucket; returns what the page says."""
        page = self._page
        with page.expect_download() as started:
            page.click(f"#{verb}-save")
        started.value.save_as(self._out / name)
        page.click(f"#{verb}-keep")
        panel = page.locator("#panel-teach" if verb == "adapt" else "#panel-assess")
        panel.get_by_text("Kept as label set").wait_for()
        return str(panel.get_by_text("Kept as label set").inner_text())


def write_picture(png: bytes, path: Path) -> None:
    """Writes a picture as JPEG, at the best quality that keeps it small."""
    image = np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    if image.shape[1] > _WIDEST:
        size = _WIDEST, round(image.shape[0] * _WIDEST / image.shape[1])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    for quality in range(92, 30, -4):
        data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
        if len(data) <= _MOST_BYTES:
            break
    path.write_bytes(data)


def main() -> None:
    """Prints what was seen and done."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?", help="where `siamese view` serves the page")
    parser.add_argument("--label", type=Path, help="xBD label of the post image")
    parser.add_argument("--files", type=Path, help="folder that `siamese export` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and labels")
    parser.add_argument("--teach", type=int, default=12, help="buildings to teach")
    parser.add_argument("--assess", type=int, default=30, help="buildings to assess")
    parser.add_argument("--width", type=int, default=1280, help="of the window")
    parser.add_argument("--height", type=int, default=800, help="of the window")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.page and not given.label:
        parser.error("a page needs --label")
    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        size = {"width": given.width, "height": given.height}
        page = browser.new_page(viewport=size, color_scheme="dark" if given.dark else "light")
        page.set_default_timeout(_PATIENCE_MS)
        if given.page:
            page.goto(given.page)
            page.wait_for_selector("html[data-idle=true]")
            hour = Hour(page, Truth(given.label), given.out)
            found |= hour.look()
            found |= {"teach": hour.teach(given.teach)} if given.teach else {}
            found |= {"assess": hour.assess(given.assess)} if given.assess else {}
        if given.files:
            page.goto((given.files / "report.html").absolute().as_uri())
            write_picture(page.screenshot(), given.out / "hour-report.jpg")
            write_picture((given.files / "picture.png").read_bytes(), given.out / "hour-map.jpg")
        browser.close()
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
