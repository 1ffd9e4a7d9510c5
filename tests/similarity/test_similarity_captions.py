"""Captions of a sheet of pictures stay above their own picture."""

from __future__ import annotations

from siamese.similarity.plots import _CAPTION, _short


def test_a_long_name_keeps_its_end_and_a_short_one_is_left_alone() -> None:
    told = _short("destroyed-joplin-tornado_00000001_23.png")
    assert (len(told), told.endswith("00000001_23.png")) == (_CAPTION, True)
    assert _short("a.png") == "a.png"
