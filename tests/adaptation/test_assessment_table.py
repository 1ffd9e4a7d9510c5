"""The table of ``siamese assess`` on a narrow terminal."""

from __future__ import annotations

import io

from rich.console import Console

from siamese.classes import DAMAGE_CLASSES
from siamese.cli.adaptation import _table
from siamese.manifests import Assessment, ClassAssessment, Interval


def test_every_figure_is_readable_in_80_columns() -> None:
    share = Interval(estimate=0.68, low=0.37, high=0.92)
    many = Interval(estimate=31_220, low=20_110, high=46_330)
    one = ClassAssessment(
        labelled=30, standard_error=1.0, mapped=38_440, buildings=many, precision=share, recall=share, f1=share
    )
    found = Assessment.model_construct(
        event="[red]town", sampled=30, buildings=1370, classes=dict.fromkeys(DAMAGE_CLASSES, one), damaged=one,
        accuracy=share, macro_f1=share,
    )  # fmt: skip
    page = io.StringIO()
    Console(file=page, width=80).print(_table(found))
    text = page.getvalue()
    assert "…" not in text
    assert "[red]town: 30 of 1,370 buildings labelled" in text
    for name in (*DAMAGE_CLASSES, "damaged"):
        assert name.replace("_", " ") in text
    assert text.count("0.37 to 0.92") == 5 * 3 + 2
    assert text.count("20,110 to 46,330") == 5
