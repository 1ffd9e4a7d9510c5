"""The page for everybody: axe, keyboard, narrow screens, two languages, and any colour vision."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.made_page import Town
from viewing.browsing import Browser, needs_browser

WEB = Path(__file__).parents[2] / "web"
_SIMULATED = {
    # Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency",
    # full severity, in linear RGB.
    "usual": np.eye(3),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
    "tritanopia": np.array([
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ]),
    "none": np.tile([0.2126, 0.7152, 0.0722], (3, 1)),
}  # fmt: skip


def colours() -> np.ndarray:
    """``(5, 3)`` sRGB of the classes in 0..1, from the page's own source."""
    text = (WEB / "src" / "colours.ts").read_text()
    found = re.findall(r'"#([0-9a-f]{6})"', text.partition("INKS")[0])
    return np.array([[int(one[at : at + 2], 16) / 255 for at in (0, 2, 4)] for one in found])


def lab(srgb: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of colours as somebody sees them."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ matrix.T, 0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])


@pytest.mark.parametrize("vision", list(_SIMULATED))
def test_classes_are_told_apart_by_any_vision(vision: str) -> None:
    seen = lab(colours(), _SIMULATED[vision])
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 999 * np.eye(5)
    # Without any colour, damage classes still differ in lightness, and unknown is hatched.
    if vision == "none":
        apart = apart[:4, :4]
    assert apart.min() >= (9 if vision == "none" else 20), apart.round(1)


def test_every_text_is_in_both_languages() -> None:
    texts = {path.stem: json.loads(path.read_text()) for path in (WEB / "strings").glob("*.json")}
    assert set(texts) == {"en", "es"}
    assert texts["en"].keys() == texts["es"].keys()
    for key, text in texts["en"].items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", texts["es"][key])), key
    used = "\n".join(path.read_text() for path in (WEB / "src").rglob("*.ts"))
    for key in re.findall(r'\bt\("([a-z0-9._]+)"', used):
        assert key in texts["en"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 900), ("dark", 390)])
@needs_browser()
def test_axe_finds_nothing_serious(calm: Browser, address: str, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text()
    page = calm.open(address, width=width, height=800, color_scheme=scheme)
    page.evaluate("siamese.page.go(5, true)")
    page.evaluate(source)
    for tab in ("explore", "teach", "assess", "about"):
        page.click(f"#tab-{tab}")
        if tab == "assess":
            page.click("#assess-start")
            page.wait_for_selector("#assess-progress")
            for _ in range(6):
                page.keyboard.press("1")
            page.wait_for_selector("#estimate")
        found = page.evaluate("axe.run(document)")
        bad = [
            (one["id"], one["impact"], [node["html"][:160] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in ("moderate", "serious", "critical")
        ]
        assert not bad, tab


@needs_browser()
def test_a_narrow_screen_shows_all_in_spanish(calm: Browser, address: str, town: tuple[Path, Town]) -> None:
    del town
    page = calm.open(address, "#lang=es", width=390, height=844, has_touch=True)
    assert page.locator("html").get_attribute("lang") == "es"
    page.evaluate("siamese.page.go(5, true)")
    for tab in ("explore", "teach", "assess", "about"):
        page.click(f"#tab-{tab}")
        if tab == "assess":
            page.click("#assess-start")
            page.wait_for_selector("#assess-progress")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        over = page.evaluate(
            "[...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() && !one.closest('.map')"
            "&& !one.closest('.scroll') && !one.matches('.hidden, .skip') && (one.getBoundingClientRect().right > 391"
            "|| one.getBoundingClientRect().left < -1)).map((one) => one.outerHTML.slice(0, 90))"
        )
        assert not [one for one in over if "tag" not in one], tab
        text = page.locator("body").inner_text()
        for english in ("Before", "Destroyed", "buildings", "Filter", "Undo"):
            assert english not in text, english


@needs_browser()
def test_all_is_reached_by_the_keyboard(page: Any) -> None:  # noqa: ANN401
    page.evaluate("siamese.page.go(5, true)")
    page.click("h1")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(() => { const one = document.activeElement; const outline = getComputedStyle(one).outlineStyle;"
            "return [one.id || one.getAttribute('aria-label') || one.textContent.trim().slice(0, 30), one.tagName] })()"
        )
        seen.add(focused[0])
    wanted = {"search", "language", "theme", "Boundary between before and after", "tab-explore", "class-destroyed"}
    wanted |= {"confidence-from", "area-to", "review", "export-csv", "tool-measure", "similar"}
    assert wanted <= seen, wanted - seen
    page.focus("#tab-explore")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-teach").get_attribute("aria-selected") == "true"
    assert page.locator("#panel-teach").is_visible()
