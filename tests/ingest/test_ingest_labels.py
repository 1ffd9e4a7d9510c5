"""Labels: what is right is read, and what is wrong is named."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from builders.made_scenes import SIDE, SQUARES, label, polygon, square
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.classes import SUBTYPES
from siamese.errors import SiameseError
from siamese.ingest import Label, parse_label

NAME = "test-wind_00000001"


def parse(tree: dict[str, Any] | bytes, max_vertices: int = 1000) -> Label:
    data = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return parse_label(data, "a/label.json", width=SIDE, height=SIDE, max_vertices=max_vertices)


def refused(tree: dict[str, Any] | bytes, *words: str, **limits: int) -> None:
    with pytest.raises(SiameseError) as caught:
        parse(tree, **limits)
    assert caught.value.where == "a/label.json"
    for word in words:
        assert word in str(caught.value)


def with_wkt(wkt: str) -> dict[str, Any]:
    tree = label(NAME, "post")
    tree["features"]["xy"][1]["wkt"] = wkt
    return tree


def test_a_label_is_read() -> None:
    found = parse(label(NAME, "post"))
    assert [building.uid for building in found.buildings] == [f"{NAME}-0", f"{NAME}-1"]
    assert [building.pixels.bounds for building in found.buildings] == list(SQUARES)
    assert found.counts() == dict.fromkeys(SUBTYPES, 0) | {"no-damage": 1, "destroyed": 1}
    assert found.metadata.gsd == 2.0
    assert not any(building.repaired for building in found.buildings)


def test_before_the_disaster_no_subtype_is_wanted() -> None:
    assert {building.subtype for building in parse(label(NAME, "pre")).buildings} == {None}
    refused({**label(NAME, "pre"), "metadata": label(NAME, "post")["metadata"]}, "subtype is missing")


def test_an_empty_scene_is_a_label_too() -> None:
    assert parse(label(NAME, "post", [])).buildings == ()


PROPERTIES = ("uid", "feature_type", "subtype")
FIELDS = [
    ("features",), ("metadata",), ("features", "xy"), ("features", "lng_lat"),
    ("features", "xy", 0, "wkt"), ("features", "xy", 1, "properties"), ("features", "lng_lat", 1, "wkt"),
    *[("features", system, 1, "properties", key) for system in ("xy", "lng_lat") for key in PROPERTIES],
    *[("metadata", key) for key in label(NAME, "post")["metadata"]],
]  # fmt: skip


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_any_renamed_field_is_named_with_what_stands_instead(path: tuple[str | int, ...]) -> None:
    tree = json.loads(json.dumps(label(NAME, "post")))
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner["renamed_to"] = inner.pop(path[-1])
    refused(tree, f"{path[-1]} is missing", "renamed_to")


def test_an_optional_field_may_be_left_out_and_others_added() -> None:
    tree = label(NAME, "post")
    del tree["metadata"]["sun_azimuth"]
    assert parse(tree).metadata.sun_azimuth is None
    tree = label(NAME, "post")
    tree["metadata"]["licence"] = "CC"
    assert len(parse(tree).buildings) == 2


def test_numbers_that_are_none_are_refused() -> None:
    text = json.dumps(label(NAME, "post"))
    refused(text.replace('"gsd": 2.0', '"gsd": NaN').encode(), "NaN")
    refused(text.replace('"gsd": 2.0', '"gsd": 1e999').encode(), "metadata.gsd")
    refused(text.replace('"gsd": 2.0', '"gsd": "wide"').encode(), "metadata.gsd")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"metadata": 1, "metadata": 2}', "'metadata' twice"),
        (b'{"features": {"a": 1, "a": 1}}', "'a' twice"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"a": 1' + b"0" * 10_000 + b"}", "Exceeds the limit"),
        (json.dumps(label(NAME, "post")).encode()[:-1], "not JSON"),
    ],
    ids=["empty", "list", "top key twice", "inner key twice", "bytes", "deep", "long number", "byte cut"],
)
def test_json_that_is_not_right_is_refused(data: bytes, word: str) -> None:
    refused(data, word)


@pytest.mark.parametrize(
    ("wkt", "word"),
    [
        ("POLYGON ((1 1, 9 1, nan 9, 1 1))", "not finite"),
        ("POLYGON ((1 1, 9 1, inf 9, 1 1))", "not finite"),
        ("POLYGON ((1 1, 9 1, 1e400 9, 1 1))", "not finite"),
        ("POLYGON ((1 1, 9 1", "cannot be read"),
        ("POLYGON ((1 1, 9 1))", "cannot be read"),
        ("POLYGON EMPTY", "is no polygon"),
        ("POINT (1 1)", "is no polygon"),
        ("", "is no polygon"),
        ("POLYGON ((1 1, 5 1, 9 1, 1 1))", "has no area"),
        ("GEOMETRYCOLLECTION (" * 50_000, "is no polygon"),
        ("MULTIPOLYGON " + "(" * 50_000, "is no polygon"),
        ("POLYGON ((-40 1, 9 1, 9 9, -40 1))", "40 px outside the tile"),
        ("POLYGON ((1 1, 9 1, 9 200, 1 1))", "136 px outside the tile"),
    ],
)
def test_polygons_that_are_none_are_refused(wkt: str, word: str) -> None:
    refused(with_wkt(wkt), word)


def test_degrees_off_the_globe_are_refused() -> None:
    tree = label(NAME, "post")
    tree["features"]["lng_lat"][0]["wkt"] = polygon(square((-200, 10, -199, 11)))
    refused(tree, "outside the globe")


def test_a_million_vertices_are_refused_unparsed() -> None:
    refused(with_wkt("POLYGON ((" + "1 1, " * 1_000_000 + "1 1))"), "1,000,001 vertices", max_vertices=100_000)


def test_some_pixels_over_the_edge_are_tolerated() -> None:
    found = parse(with_wkt(polygon(square((-3, -3, 10, SIDE + 5)))))
    assert found.buildings[1].pixels.bounds == (-3, -3, 10, SIDE + 5)


def test_a_polygon_that_crosses_itself_is_made_valid() -> None:
    found = parse(with_wkt("POLYGON ((0 0, 10 10, 10 0, 0 10, 0 0))")).buildings[1]
    assert found.repaired
    assert found.pixels.is_valid
    assert found.pixels.area == pytest.approx(50)


def test_holes_and_several_parts_are_kept() -> None:
    holed = "POLYGON ((0 0, 20 0, 20 20, 0 20, 0 0), (5 5, 10 5, 10 10, 5 10, 5 5))"
    assert parse(with_wkt(holed)).buildings[1].pixels.area == 375
    parts = "MULTIPOLYGON (((0 0, 5 0, 5 5, 0 5, 0 0)), ((10 10, 15 10, 15 15, 10 15, 10 10)))"
    assert parse(with_wkt(parts)).buildings[1].pixels.area == 50


def test_uids_pair_the_two_lists_whatever_their_order() -> None:
    tree = label(NAME, "post")
    tree["features"]["lng_lat"].reverse()
    assert parse(tree).buildings[0].lng_lat == parse(label(NAME, "post")).buildings[0].lng_lat
    tree["features"]["lng_lat"].pop()
    refused(tree, "differ in uid")
    tree["features"]["xy"][0] = tree["features"]["xy"][1]
    refused(tree, "twice")


def test_unknown_words_are_refused() -> None:
    tree = label(NAME, "post")
    tree["features"]["xy"][0]["properties"]["subtype"] = "slightly-bent"
    refused(tree, "'slightly-bent' is unknown")
    tree = label(NAME, "post")
    tree["features"]["xy"][0]["properties"]["feature_type"] = "road"
    refused(tree, "'road'")


def test_a_label_of_another_size_is_refused() -> None:
    tree = label(NAME, "post")
    tree["metadata"]["width"] = 512
    refused(tree, "metadata says 512 x 64 px", "64 x 64 px")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_whatever_crash_it(data: bytes) -> None:
    with pytest.raises(SiameseError):
        parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FIELDS), JSON)
def test_no_value_in_any_field_crashes_it(path: tuple[str | int, ...], value: object) -> None:
    tree = json.loads(json.dumps(label(NAME, "post")))
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with contextlib.suppress(SiameseError):
        parse(tree)


def test_every_real_label_is_read(real_data: Path) -> None:
    paths = sorted((real_data / "xbd" / "labels").glob("*.json"))
    found = [parse_label(path.read_bytes(), path.name, width=1024, height=1024, max_vertices=10_000) for path in paths]
    assert sum(len(one.buildings) for one in found) == 2 * 2625
