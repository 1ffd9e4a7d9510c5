"""CSV through pandas: the bytes that Python's own writer writes, and text that stays text."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.tables import csv_bytes, read_csv

COLUMNS = ("event", "score", "scenes", "held")
TEXT = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), min_size=1, max_size=12)
FIGURES = st.floats(allow_nan=False) | st.none()
ROWS = st.lists(st.tuples(TEXT, FIGURES, st.integers() | st.none(), st.booleans()), max_size=8)


def plainly(rows: list[tuple[object, ...]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    return out.getvalue().encode()


@settings(deadline=None)  # the first example imports pandas
@given(ROWS)
def test_values_are_written_as_they_are(rows: list[tuple[object, ...]]) -> None:
    assert csv_bytes(COLUMNS, rows) == plainly(rows)


def test_numpys_numbers_are_written_as_pythons() -> None:
    rows = [("a", np.float64(0.1), np.int64(3), np.bool_(True))]
    assert csv_bytes(COLUMNS, rows) == plainly([("a", 0.1, 3, True)])


@settings(deadline=None)  # the first example imports pandas
@given(st.lists(st.tuples(TEXT, st.sampled_from(["NA", "007", "1e3", "None", "true"])), max_size=8))
def test_text_that_looks_like_a_number_or_like_nothing_comes_back_as_it_was(rows: list[tuple[str, str]]) -> None:
    found = read_csv(csv_bytes(("scene", "split"), rows))
    assert list(zip(found["scene"], found["split"], strict=True)) == rows


def test_a_comma_after_every_row_shifts_no_column() -> None:
    for rows in (b"x,1,2,\ny,3,4,\n", b"x,1,2,,\ny,3,4\n"):
        found = read_csv(b"class,a,b\n" + rows)
        assert found.to_dict("list") == {"class": ["x", "y"], "a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize(
    ("rows", "told"),
    [(b"x,1,2\ny,3\n", "line 2 has more"), (b"x,1,\ny,3,4\n", "line 3 has more"), (b"x,1\ny,3,4\n", "line 3")],
)
def test_a_row_longer_than_the_header_is_refused_with_its_line(rows: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_csv(b"class,a\n" + rows)
