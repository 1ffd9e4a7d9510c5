"""How fast the page of a map is, in a real browser, at any number of buildings.

Measures for each number: seconds to the first view, frames of a pan in milliseconds, how long a map takes to be decided
anew after a label, a filter, memory of the page, and the size of its files. The browser draws in software, so frames
are slower than on any machine with a graphics card; the processor time of the page itself and of drawing is measured
separately. Other work on the machine shows in every figure. Prints one JSON line.

    python benchmarks/page.py [--minutes 20] 100 10000 100000
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from budget import Budget, add_minutes

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from builders.made_page import Town, made_page  # type: ignore[import-not-found]
from viewing.browsing import ARGUMENTS, CHROMIUM, serving  # type: ignore[import-not-found]

from siamese.viewing.folders import copy_page

_PAN = """
async () => {
  const { map } = siamese.page.view;
  const frames = [];
  let last = performance.now(), done = false;
  const look = (now) => { frames.push(now - last); last = now; if (!done) requestAnimationFrame(look); };
  requestAnimationFrame(look);
  for (const by of [[240, 0], [0, 160], [-480, 0], [0, -160], [240, 0]]) {
    await new Promise((next) => { map.once("moveend", next); map.panBy(by, { duration: 700, easing: (t) => t }); });
  }
  done = true;
  return frames.slice(2);
}
"""
_LEARN = """
async (labels) => {
  const started = performance.now();
  const found = await siamese.page.learner.adapt(labels);
  siamese.page.state.decide(found);
  await new Promise((next) => siamese.page.view.map.once("render", next));
  return [performance.now() - started, found.ms];
}
"""
_FILTER = """
async () => {
  const started = performance.now();
  siamese.page.state.setFilter({ confidence: [0.5, 1] });
  await new Promise((next) => siamese.page.view.map.once("render", next));
  const took = performance.now() - started;
  siamese.page.state.setFilter({ confidence: [0, 1] });
  return took;
}
"""
_PICK = """
async () => {
  const started = performance.now();
  await siamese.page.learner.select(6, [], null);
  return performance.now() - started;
}
"""
_ZOOM = """
(by) => {
  const { map } = siamese.page.view;
  window.first ??= map.getZoom();
  map.jumpTo({ zoom: window.first + by });
}
"""


class Spent(dict[str, float]):
    """Processor seconds of the browser's processes: ``page`` runs the page's code, ``drawing`` stands for the card."""


@contextmanager
def spending() -> Iterator[Spent]:
    """Measures processor time, which other work on the machine stretches less than time on the clock."""
    found = Spent()
    before = _processors()
    yield found
    found.update({name: round(value - before.get(name, 0.0), 3) for name, value in _processors().items()})


def _processors() -> dict[str, float]:
    kinds = {"--type=renderer": "page", "--type=gpu-process": "drawing"}
    sums = dict.fromkeys(kinds.values(), 0.0)
    for process in psutil.Process().children(recursive=True):
        try:
            kind = next((name for mark, name in kinds.items() if mark in process.cmdline()), None)
            if kind:
                times = process.cpu_times()
                sums[kind] += times.user + times.system
        except psutil.Error:
            continue
    return sums


def measure(count: int, folder: Path, browser: Any, labels: int, picture: Path | None = None) -> dict[str, Any]:  # noqa: ANN401 - Playwright
    """Measures the page of a town."""
    scale = 1 if count < 20_000 else 2 if count < 60_000 else 4
    if (folder / "map.json").is_file():
        copy_page(folder)
        town = Town(count, scale=scale)
    else:
        town = made_page(folder, count, scale=scale)
    with serving(folder) as address:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.set_default_timeout(600_000)
        started = time.perf_counter()
        with spending() as opening:
            page.goto(address)
            page.wait_for_selector("html[data-ready=true]")
            ready = time.perf_counter() - started
            page.wait_for_selector("html[data-idle=true]")
            first = time.perf_counter() - started
        per_frame: dict[str, dict[str, float]] = {}
        frames: dict[str, list[float]] = {}
        for name, closer in (("whole", 0.0), ("town", 2.5), ("street", 5.0)):
            page.evaluate(_ZOOM, closer)
            page.wait_for_timeout(1500)
            with spending() as panning:
                frames[name] = page.evaluate(_PAN)
            per_frame[name] = {kind: round(1000 * spent / len(frames[name]), 1) for kind, spent in panning.items()}
        given = [[place, int(town.truth[place])] for place in range(0, count, max(1, count // labels))][:labels]
        page.evaluate(_LEARN, given[:2])
        learned = [page.evaluate(_LEARN, given) for _ in range(3)]
        found = {
            "buildings": count,
            "labels": len(given),
            "megabytes": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1),
            "ready_s": round(ready, 2),
            "first_view_s": round(first, 2),
            "first_view_processor_s": opening,
            "frame_processor_ms": per_frame,
            "frames_ms": {
                name: {
                    "median": round(statistics.median(some), 1),
                    "p95": round(statistics.quantiles(some, n=20)[-1], 1),
                    "worst": round(max(some), 1),
                }
                for name, some in frames.items()
            },
            "decided_anew_ms": round(min(one[0] for one in learned)),
            "of_it_model_ms": round(min(one[1] for one in learned)),
            "filter_ms": round(min(page.evaluate(_FILTER) for _ in range(3)), 1),
            "pick_ms": round(page.evaluate(_PICK)),
            "heap_mb": round(page.evaluate("performance.memory.usedJSHeapSize") / 1e6),
            "renderer": page.evaluate(
                "(() => { const gl = document.createElement('canvas').getContext('webgl2');"
                "const more = gl.getExtension('WEBGL_debug_renderer_info');"
                "return more ? gl.getParameter(more.UNMASKED_RENDERER_WEBGL) : '' })()"
            ),
        }
        if picture is not None:
            page.evaluate(
                "siamese.page.go(siamese.page.state.classes.indexOf(3), true); siamese.page.view.map.zoomOut()"
            )
            page.wait_for_timeout(3000)
            page.screenshot(path=picture, type="jpeg", quality=82)
        context.close()
    return found


def main() -> None:
    """Measures each number of buildings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("buildings", nargs="*", type=int, default=[100, 10_000, 100_000])
    parser.add_argument("--labels", type=int, default=30, help="labels that the map learns from")
    parser.add_argument("--keep", type=Path, help="write the pages to this folder, or take those that lie there")
    parser.add_argument("--picture", type=Path, help="write a picture of each page to this JPEG, the last one stays")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        _measure_here(asked)
        return
    budget = Budget("page", asked.minutes)
    pages = [budget.attempt(f"{count:,} buildings", partial(_measure_apart, count, asked)) for count in asked.buildings]
    print(budget.record({"pages": [page for page in pages if page is not None]}))


def _measure_apart(count: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Measures one page in a process of its own: a browser is not to be interrupted, but its process can be ended."""
    command = [sys.executable, __file__, str(count), "--one", "--labels", str(asked.labels)]
    command += ["--keep", str(asked.keep)] if asked.keep else []
    command += ["--picture", str(asked.picture)] if asked.picture else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _measure_here(asked: argparse.Namespace) -> None:
    from playwright.sync_api import sync_playwright

    (count,) = asked.buildings
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, "--enable-precise-memory-info"]
        )
        found = measure(count, (asked.keep or Path(folder)) / str(count), browser, asked.labels, asked.picture)
        browser.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
