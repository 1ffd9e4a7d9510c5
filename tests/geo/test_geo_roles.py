"""Names and metadata that contradict the roles of images."""

from __future__ import annotations

from datetime import date

import pytest

from siamese.geo import role_warnings
from siamese.geo.roles import date_in, named_role


def warned(pre: str, post: str, pre_taken: str | None = None, post_taken: str | None = None) -> tuple[str, ...]:
    return role_warnings([(pre, pre_taken)], [(post, post_taken)])


@pytest.mark.parametrize(
    ("pre", "post"),
    [
        ("a_00000001_pre_disaster.png", "a_00000001_post_disaster.png"),
        ("before/pre/tile.tif", "before/post/tile.tif"),
        ("storm-2018-10-01.tif", "storm-2018-10-13.tif"),
        ("same-20181013a.tif", "same-20181013b.tif"),
        ("presque-isle.tif", "postville.tif"),
        ("tile_31500-5137.tif", "tile_1361-9136.tif"),
        ("x.tif", "y-2018-10-13.tif"),
    ],
)
def test_nothing_is_said_where_nothing_contradicts(pre: str, post: str) -> None:
    assert warned(pre, post) == ()


def test_names_that_say_the_other_role() -> None:
    (one, two) = warned("s3://raw/a_00000001_post_disaster.png", "s3://raw/a_00000001_pre_disaster.png")
    assert one.startswith("s3://raw/a_00000001_post_disaster.png: given as pre, but named post")
    assert two.endswith("check that the dates are not swapped")


def test_dates_out_of_order_in_names_or_else_in_metadata() -> None:
    (line,) = warned("storm_20181013.tif", "storm_20180901.tif", "2018:01:01 00:00:00", "2019:01:01 00:00:00")
    assert "by their names the pre image storm_20181013.tif is of 2018-10-13" in line
    (line,) = warned("a.tif", "b.tif", "2018:10:13 16:48:15", "2018:09:01 10:00:00")
    assert "by their metadata" in line
    assert warned("a.tif", "b.tif", "2018:10:13 16:48:15", "2018:10:13 10:00:00") == ()
    assert warned("a.tif", "b.tif", "nonsense", None) == ()


def test_parts_of_names() -> None:
    assert named_role("pre_and_post.tif") is None
    assert named_role("Event-PRE.TIF") == "pre"
    assert date_in("20181013-20181014") is None
    assert date_in("2018-13-13") is None
    assert date_in("2018-02-30") is None
    assert date_in("1234567820181013") is None
    assert date_in("x_20181013_1") == date(2018, 10, 13)
