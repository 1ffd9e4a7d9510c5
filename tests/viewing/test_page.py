"""The page in a real browser: what a person sees and does."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from builders.made_page import Town, made_page
from shapely.geometry import shape
from viewing.browsing import Browser, needs_browser, serving

from siamese.adaptation.labels import match_labels, read_label_file

pytestmark = needs_browser()
HOSTILE = '<img src=x onerror="document.title=1">"\'&</script><script>document.title=2</script>'


def counts(page: Any) -> list[int]:  # noqa: ANN401
    return [int(text.replace(",", "")) for text in page.locator("#counts tbody td:nth-child(3)").all_inner_texts()]


def mapped(town: Town) -> list[int]:
    return np.bincount(town.buildings().classes, minlength=5).tolist()


def colour(page: Any, x: int, y: int) -> tuple[int, ...]:  # noqa: ANN401
    """Mean colour of a few pixels of the page."""
    from PIL import Image

    image = Image.open(io.BytesIO(page.screenshot()))
    return tuple(int(v) for v in np.asarray(image.convert("RGB"))[y - 2 : y + 3, x - 2 : x + 3].mean(axis=(0, 1)))


def colours_around(page: Any, x: int, y: int) -> np.ndarray:  # noqa: ANN401
    """``(n, 3)`` colours of the pixels at a place of the page."""
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    return image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).astype(int)


def screen(page: Any, place: int) -> tuple[float, float]:  # noqa: ANN401
    """Where a building is on the screen."""
    x, y = page.evaluate(
        "(place) => { const {state, view} = siamese.page; const at = state.buildings.at;"
        "const one = view.map.project(state.plane.toLngLat([at[2 * place], at[2 * place + 1]]));"
        "const box = view.map.getContainer().getBoundingClientRect(); return [one.x + box.left, one.y + box.top] }",
        place,
    )
    return float(x), float(y)


def test_counts_follow_filter_and_view(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    made = town[1]
    every = mapped(made)
    assert counts(page) == every
    page.uncheck("#class-no_damage")
    assert counts(page) == [0, *every[1:]]
    page.check("#review")
    best = made.probabilities.max(axis=1) * 0.95
    asked = (best < 0.6) & (made.buildings().classes > 0)
    assert sum(counts(page)) == asked.sum()
    page.select_option("#reasons", label="Cloud")
    assert counts(page)[:4] == [0, 0, 0, 0]
    page.get_by_role("button", name="Reset filters").click()
    assert counts(page) == every
    page.fill("#area-from", "100")
    assert sum(counts(page)) == (shapely.area(made.buildings().outlines) * 0.25 >= 100).sum()
    page.fill("#area-from", "")
    page.evaluate("siamese.page.view.map.jumpTo({zoom: siamese.page.view.map.getZoom() + 2})")
    assert 0 < sum(counts(page)) < sum(every)
    page.get_by_role("button", name="Use the view").click()
    inside = sum(counts(page))
    page.get_by_role("button", name="Whole map").click()
    page.wait_for_timeout(200)
    assert sum(counts(page)) == inside, "the region stays when the view does not"


def test_a_building_is_clicked_and_told(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    made = town[1]
    place = int(np.flatnonzero(~made.unknown)[40])
    page.mouse.click(*screen(page, place))
    card = page.locator("#card")
    ids = made.buildings().ids
    card.get_by_text(ids[place], exact=True).wait_for()
    assert card.locator("canvas").count() == 2
    # Both chips show imagery, not empty ground.
    page.wait_for_function(
        "() => [...document.querySelectorAll('#card canvas')].every((one) => { const d = one.getContext('2d')"
        ".getImageData(0, 0, 352, 352).data; return new Set(d.filter((_, i) => i % 400 === 0)).size > 8 })"
    )
    percent = f"{made.probabilities[place].max():.0%}"
    assert percent in card.inner_text()
    card.get_by_role("button", name="Find similar").click()
    page.wait_for_selector(".likes li:nth-child(12)")
    page.keyboard.press("Escape")
    assert card.is_hidden()
    unknown = int(np.flatnonzero(made.unknown)[0])
    page.fill("#search", ids[unknown])
    page.press("#search", "Enter")
    assert "Its damage cannot be told" in card.inner_text()
    assert ("Cloud" in card.inner_text()) != ("Deep shadow" in card.inner_text())


def test_search_finds_coordinates_and_parts_of_ids(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    lng, lat = town[1].grid.to_degrees(np.array([[100.0, 200.0]]))[0]
    page.fill("#search", f"{lat:.6f}, {lng:.6f}")
    page.press("#search", "Enter")
    found = page.evaluate("siamese.page.view.map.getCenter().toArray()")
    np.testing.assert_allclose(found, [lng, lat], atol=1e-6)
    page.fill("#search", town[1].buildings().ids[3][:8])
    page.press("#search", "Enter")
    assert 1 < page.locator("#results li").count() <= 8
    page.fill("#search", "no such thing")
    page.press("#search", "Enter")
    assert page.locator("#results").inner_text() == "Nothing found."
    page.locator("h1").click()
    assert page.locator("#results").is_hidden()


def test_swipe_shows_each_date_on_its_side(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    del town
    page.evaluate("siamese.page.state.layer.opacity = 0; siamese.page.state.layer.changed()")
    shown = {}
    for view in ("Before", "After", "Swipe"):
        page.locator(".floating").get_by_text(view, exact=True).click()
        page.wait_for_timeout(300)
        shown[view] = [colour(page, 180, 330), colour(page, 440, 330)]
    assert shown["Before"] != shown["After"]
    assert shown["Swipe"] == [shown["Before"][0], shown["After"][1]]
    slider = page.get_by_role("slider", name="Boundary between before and after")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_timeout(300)
    assert [colour(page, 180, 330), colour(page, 440, 330)] == shown["Before"]
    assert slider.get_attribute("aria-valuenow") == "100"
    page.locator(".floating").get_by_text("Flicker", exact=True).click()
    seen = set()
    for _ in range(12):
        seen.add(colour(page, 440, 330))
        page.wait_for_timeout(150)
    assert len(seen) == 2


@pytest.mark.parametrize("closer", [2.5, -3.0])
def test_buildings_are_drawn_in_their_class(page: Any, town: tuple[Path, Town], closer: float) -> None:  # noqa: ANN401
    made = town[1]
    wanted = np.array([(47, 127, 193), (255, 225, 77), (245, 130, 32), (163, 0, 79)])
    page.locator(".floating").get_by_text("After", exact=True).click()
    for number in (0, 3):
        place = int(np.flatnonzero(made.buildings().classes == number)[0])
        page.evaluate(
            "([place, closer]) => { const {state, view} = siamese.page; const [x, y] = state.ringsOf(place)[0][0];"
            "const [u, v] = state.ringsOf(place)[0][1]; const first = view.map.getZoom();"
            "window.wide ??= first; view.map.jumpTo({zoom: window.wide + closer,"
            "center: state.plane.toLngLat(closer > 0 ? [(x + u) / 2, (y + v) / 2] :"
            "[state.buildings.at[2 * place], state.buildings.at[2 * place + 1]])}) }",
            [place, closer],
        )
        # The middle of an edge near by, the building's dot from afar.
        for hidden in (False, True):
            name = ("no_damage", "minor_damage", "major_damage", "destroyed")[number]
            page.set_checked(f"#class-{name}", not hidden)
            page.wait_for_function("() => siamese.page.view.map.loaded()")
            page.wait_for_timeout(300)
            box = page.locator("#map").bounding_box()
            x, y = round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)
            seen = colours_around(page, x, y)
            near = np.abs(seen - wanted[number]).max(axis=1).min()
            assert (near < 45) == (not hidden), (name, hidden, near)
        page.set_checked(f"#class-{name}", True)


def test_the_link_brings_all_back(calm: Browser, address: str, page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    page.uncheck("#class-destroyed")
    page.check("#review")
    page.evaluate("siamese.page.go(17, true)")
    page.locator(".floating").get_by_text("After", exact=True).click()
    page.wait_for_function("() => location.hash.includes('id=') && location.hash.includes('view=after')")
    page.wait_for_timeout(400)
    link = page.evaluate("location.hash")
    other = calm.open(address, link)
    assert other.locator("#card").inner_text() == page.locator("#card").inner_text()
    assert counts(other) == counts(page)
    assert other.evaluate("siamese.page.state.view") == "after"
    np.testing.assert_allclose(
        other.evaluate("siamese.page.view.map.getCenter().toArray()"),
        page.evaluate("siamese.page.view.map.getCenter().toArray()"),
        atol=2e-6,
    )
    # Nonsense in a link is left out.
    odd = calm.open(address, "#at=a,b,c&classes=9&confidence=x&region=1,2&id=nobody&view=up&tab=no&reasons=zz")
    assert counts(odd) == mapped(town[1])


def test_measuring_and_regions(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    made = town[1]
    page.click("#tool-measure")
    corners = [screen(page, 70), screen(page, 115)]
    for x, y in corners:
        page.mouse.click(x, y)
    told = page.locator(".told").inner_text()
    apart = np.linalg.norm(made.middles[70] - made.middles[115]) * 0.5
    assert float(told.split()[0]) == pytest.approx(apart, abs=3)
    page.keyboard.press("Escape")
    page.click("#tool-region")
    box = page.locator("#map").bounding_box()
    for x, y in ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.keyboard.press("Enter")
    assert 0 < sum(counts(page)) < sum(mapped(made))
    page.get_by_role("button", name="Remove region").click()
    assert counts(page) == mapped(made)


def test_the_selection_is_taken_along(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    made = town[1]
    page.uncheck("#class-no_damage")
    with page.expect_download() as started:
        page.click("#export-geojson")
    tree = json.loads(Path(started.value.path()).read_text())
    buildings = made.buildings()
    wanted = np.flatnonzero(buildings.classes > 0)
    assert [one["id"] for one in tree["features"]] == [buildings.ids[place] for place in wanted]
    for one, place in zip(tree["features"], wanted, strict=True):
        assert shapely.hausdorff_distance(shape(one["geometry"]), buildings.geometry[place]) < 2e-7
    with page.expect_download() as started:
        page.click("#export-csv")
    rows = list(csv.DictReader(io.StringIO(Path(started.value.path()).read_text())))
    assert [row["id"] for row in rows] == [one["id"] for one in tree["features"]]
    assert all(float(row["latitude"]) == pytest.approx(float(row["id"][:10]), abs=1e-5) for row in rows)


def test_no_cell_of_the_csv_is_a_formula(calm: Browser, tmp_path: Path) -> None:
    made = made_page(tmp_path / "page", 12)
    texts = json.loads((tmp_path / "page" / "texts.json").read_text())
    odd = ["=1+1", '=HYPERLINK("https://x.test","a,b")', "+cmd|' /C calc'!A0", "-x", "@SUM(A1)", "\t=1", "\r=1"]
    plain = ["-12.3", "way/17", "a=b", "", None]
    (tmp_path / "page" / "texts.json").write_text(json.dumps(texts | {"footprints": [*odd, *plain]}))
    with serving(tmp_path / "page") as address:
        page = calm.open(address)
        with page.expect_download() as started:
            page.click("#export-csv")
    rows = list(csv.DictReader(io.StringIO(Path(started.value.path()).read_bytes().decode(), newline="")))
    assert [row["footprint_id"] for row in rows] == [*(f"'{one}" for one in odd), *plain[:-1], ""]
    assert [row["id"] for row in rows] == list(made.buildings().ids), "labels are matched by id"
    assert all(float(row["longitude"]) < 0 for row in rows)


def test_teaching_by_keys(page: Any, town: tuple[Path, Town], calm: Browser, tmp_path: Path) -> None:  # noqa: ANN401
    made = town[1]
    page.click("#tab-teach")
    page.keyboard.press("n")
    page.wait_for_selector("#card:not([hidden])")
    given = {}
    for number in range(5):
        page.wait_for_function("(n) => siamese.labels.size === n && siamese.page.state.selected >= 0", arg=number)
        place = page.evaluate("siamese.page.state.selected")
        page.keyboard.press(str(made.truth[place] + 1))
        given[place] = int(made.truth[place])
        page.wait_for_function(
            "([place, n]) => document.querySelector('#panel-teach').dataset.labels === String(n)"
            "&& siamese.page.state.selected !== place",
            arg=[place, number + 1],
        )
    shown = page.evaluate("[...siamese.page.state.classes]")
    assert all(shown[place] == number for place, number in given.items())
    assert shown != made.buildings().classes.tolist()
    page.click("#teach-compare")
    assert page.evaluate("[...siamese.page.state.classes]") == made.buildings().classes.tolist()
    page.click("#teach-compare")
    page.fill("#adapt-author", "Ana ñ")
    with page.expect_download() as started:
        page.click("#adapt-save")
    path = tmp_path / "labels.geojson"
    started.value.save_as(path)
    kept = match_labels(read_label_file(path), made.buildings(), iou=0.25, where="labels")
    assert {one.place: one.damage_class for one in kept} == {
        place: ("no_damage", "minor_damage", "major_damage", "destroyed")[number] for place, number in given.items()
    }
    assert {one.author for one in kept} == {"Ana ñ"}
    # A closed page loses no label, and the last one can be taken back.
    page.reload()
    page.wait_for_function("() => window.siamese?.labels.size === 5")
    page.click("#tab-teach")
    page.wait_for_function("() => document.querySelector('#panel-teach').dataset.labels === '5'")
    assert page.evaluate("[...siamese.page.state.classes]") == shown
    page.evaluate("siamese.page.go(0)")
    page.keyboard.press("5")
    page.wait_for_function("() => siamese.labels.size === 6")
    page.keyboard.press("u")
    page.wait_for_function("() => siamese.labels.size === 5")
    del calm


def test_assessing_is_blind_and_grows(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    made = town[1]
    page.click("#tab-assess")
    page.fill("#assess-size", "40")
    page.click("#assess-start")
    page.wait_for_selector("#assess-progress")
    assert page.evaluate("siamese.page.state.layer.blind")
    assert page.locator("#card").is_hidden()
    assert "What the map says is hidden" in page.locator("#panel-assess").inner_text()
    sample = page.evaluate("siamese.sample()")
    truth = made.truth
    for number, place in enumerate(sample[:10]):
        page.keyboard.press(str(truth[place] + 1))
        page.wait_for_function("(n) => siamese.judged.size === n", arg=number + 1)
    page.wait_for_function("() => document.querySelector('#panel-assess').dataset.sampled === '10'")
    first = page.locator("#estimate tbody tr").nth(0).inner_text()
    for place in sample[10:]:
        page.keyboard.press(str(truth[place] + 1))
    page.wait_for_function("() => document.querySelector('#panel-assess').dataset.sampled === '40'")
    assert page.locator("#estimate tbody tr").nth(0).inner_text() != first
    assert "All are labelled" in page.locator("#assess-progress").inner_text()
    with page.expect_download() as started:
        page.click("#assess-save")
    tree = json.loads(Path(started.value.path()).read_text())
    assert {one["id"] for one in tree["features"]} == {made.buildings().ids[place] for place in sample}


def test_shortcuts_are_left_to_the_browser(page: Any) -> None:  # noqa: ANN401
    press = (
        "([element, key, held]) => document.querySelector(element).dispatchEvent("
        "new KeyboardEvent('keydown', {key, [held]: true, bubbles: true, cancelable: true}))"
    )
    shown = "(({view, tab, curtain, selected}) => [view, tab, curtain, selected])(siamese.page.state)"
    for tab in ("explore", "teach", "assess"):
        page.click(f"#tab-{tab}")
        before = page.evaluate(shown)
        for held in ("ctrlKey", "metaKey", "altKey"):
            for key in "bfnpjku1/":
                assert page.evaluate(press, ["body", key, held]), (tab, held, key)
            for element in (f"#tab-{tab}", ".curtain"):
                assert page.evaluate(press, [element, "ArrowLeft", held]), (element, held)
        assert page.evaluate(shown) == before
        assert not page.evaluate(press, ["body", "f", "shiftKey"])
        page.keyboard.press("F")
        assert page.evaluate(shown) == before


def test_keys_in_capitals_held_down_and_taken_back(page: Any) -> None:  # noqa: ANN401
    page.keyboard.press("Shift+b")
    assert page.evaluate("siamese.page.state.view") == "before"
    page.click("#tab-assess")
    page.fill("#assess-size", "60")
    page.click("#assess-start")
    page.wait_for_selector("#assess-progress")
    known = page.evaluate("siamese.judged.size")
    for _ in range(3):
        page.keyboard.down("1")
    page.keyboard.up("1")
    assert page.evaluate("siamese.judged.size") == known + 1
    page.keyboard.press("Control+Shift+z")
    assert page.evaluate("siamese.judged.size") == known + 1
    page.keyboard.press("Control+z")
    assert page.evaluate("siamese.judged.size") == known


def test_assessing_starts_again_after_a_failure(calm: Browser, address: str) -> None:
    page = calm.open(address)
    page.route("**/teach.bin", lambda route: route.abort())
    page.click("#tab-assess")
    page.click("#assess-start")
    page.locator("#panel-assess [role=alert]").wait_for()
    page.unroute("**/teach.bin")
    page.click("#assess-start")
    page.wait_for_selector("#assess-progress")
    assert all("ERR_FAILED" in one for one in calm.problems)
    calm.problems.clear()


def test_hostile_texts_stay_texts(calm: Browser, tmp_path: Path) -> None:
    ids = [f"{HOSTILE}{number}" for number in range(12)]
    made_page(tmp_path / "page", 12, ids=ids, event=HOSTILE, warnings=(HOSTILE, f"second {HOSTILE}"))
    with serving(tmp_path / "page") as address:
        page = calm.open(address)
        assert page.locator("h1").inner_text() == HOSTILE
        page.evaluate("siamese.page.go(3, true)")
        assert ids[3] in page.locator("#card").inner_text()
        page.fill("#search", "onerror")
        page.press("#search", "Enter")
        assert page.locator("#results li").count() == 8
        assert page.locator(".warnings").inner_text().count(HOSTILE) == 2
        assert page.locator("img").count() == 0
        assert page.title().startswith(HOSTILE)


def test_warnings_of_the_map_are_never_folded_away(calm: Browser, tmp_path: Path) -> None:
    own = ("the post images are shifted by 2.1 px and were aligned", "1 footprint lies outside the map", "a/b" * 60)
    trust = ("made by a model that reached a score of 0.71", "nobody said what struck", "3% of the ground is unknown")
    made_page(tmp_path / "page", 12, warnings=own)
    about = json.loads((tmp_path / "page" / "map.json").read_text())
    about["map"]["trust"] = {"statements": [*trust, own[0]]}
    (tmp_path / "page" / "map.json").write_text(json.dumps(about))
    with serving(tmp_path / "page") as address:
        page = calm.open(address, "#lang=es", width=390, height=844)
        shown = page.locator(".warnings > p")
        told = [*(f"Aviso: {one}" for one in own), f"Hasta dónde confiar: {trust[0]}"]
        assert shown.all_inner_texts() == told
        assert all(one.is_visible() for one in shown.all())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        folded = page.locator(".warnings li")
        assert folded.count() == 2
        assert folded.first.is_hidden()
        page.locator(".warnings summary").get_by_text("+ 2").click()
        assert folded.all_inner_texts() == list(trust[1:])
        assert folded.first.is_visible()


def test_a_page_in_pixels_and_one_without_imagery(calm: Browser, tmp_path: Path) -> None:
    made = made_page(tmp_path / "page", 30, georeferenced=False)
    about = json.loads((tmp_path / "page" / "map.json").read_text())
    with serving(tmp_path / "page") as address:
        page = calm.open(address)
        page.mouse.click(*screen(page, 7))
        assert "px" in page.locator("#card").inner_text()
        with page.expect_download() as started:
            page.click("#export-geojson")
        tree = json.loads(Path(started.value.path()).read_text())
        assert tree["coordinates"].startswith("pixels")
        assert shape(tree["features"][7]["geometry"]).equals_exact(made.buildings().outlines[7], 0.02)
        about["imagery"], about["teach"] = {"absent": "its images are gone"}, {"absent": "no vectors"}
        (tmp_path / "page" / "map.json").write_text(json.dumps(about))
        page = calm.open(address)
        assert "its images are gone" in page.locator(".warnings").inner_text()
        page.click("#tab-teach")
        assert "no vectors" in page.locator("#panel-teach").inner_text()


def test_a_map_without_buildings_opens(calm: Browser, tmp_path: Path) -> None:
    made_page(tmp_path / "page", 0)
    with serving(tmp_path / "page") as address:
        page = calm.open(address)
        assert counts(page) == [0, 0, 0, 0, 0]
