"""Prints a report as PDF: two A4 pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from fontTools.ttLib import TTFont
from fpdf import FPDF
from PIL import Image

from siamese.products.fonts import font_file
from siamese.products.report import HATCHED, Report

_FONT: Final = "DejaVu"
_MARGIN: Final = 14.0
_WIDTH: Final = 210 - 2 * _MARGIN
_BOTTOM: Final = 297 - 12.0
_INK: Final = (38, 50, 56)
_GREY: Final = (84, 110, 122)
_PALE: Final = (245, 247, 248)
_WARN: Final = (255, 248, 225)
_PAIRS: Final = 5
"""Chips in a row."""
_GAP: Final = 2.0
_MOST_WARNINGS: Final = 7
_MISSING: Final = "□"


def print_pdf(report: Report, made: datetime) -> bytes:
    """Returns a report as PDF; the same report gives the same bytes.

    Args:
        report: Its content.
        made: Written into the file as the time of its creation.
    """
    page = _Page(report.title, made)
    _first_page(page, report)
    page.add_page()
    _second_page(page, report)
    return bytes(page.output())


class _Page(FPDF):
    """An A4 page with this report's fonts."""

    def __init__(self, title: str, made: datetime) -> None:
        super().__init__(format="A4")
        self.add_font(_FONT, "", font_file())
        self.add_font(_FONT, "B", font_file(bold=True))
        self.set_margin(_MARGIN)
        self.set_auto_page_break(False)
        self.set_title(f"{title}: building damage")
        self.set_creator("siamese")
        self.set_lang("en")
        self.set_creation_date(made.astimezone(UTC))
        self.alias_nb_pages()
        self._known = frozenset(TTFont(font_file(), lazy=True).getBestCmap())
        self._title = self.readable(title)
        self.add_page()

    def readable(self, text: str) -> str:
        """Replaces letters that the font lacks, such as Chinese ones, by a square: nothing is left out silently."""
        return "".join(letter if ord(letter) in self._known else _MISSING for letter in text)

    def footer(self) -> None:
        """Prints title and page number."""
        self.set_y(-11)
        self.set_font(_FONT, "", 7)
        self.set_text_color(*_GREY)
        self.cell(_WIDTH - 20, 5, _fitted(self, self._title, _WIDTH - 22))
        self.cell(20, 5, f"{self.page_no()} / {{nb}}", align="R")

    def say(self, text: str, size: float, *, bold: bool = False, grey: bool = False, height: float = 0.0) -> None:
        """Prints a paragraph over the whole width."""
        self.set_font(_FONT, "B" if bold else "", size)
        self.set_text_color(*(_GREY if grey else _INK))
        self.multi_cell(_WIDTH, height or size * 0.46, self.readable(text), align="L", new_x="LMARGIN", new_y="NEXT")

    def head(self, text: str) -> None:
        """Prints a heading."""
        self.ln(2)
        self.say(text, 10.5, bold=True)
        self.set_draw_color(*_INK)
        self.line(_MARGIN, self.get_y() + 0.4, _MARGIN + _WIDTH, self.get_y() + 0.4)
        self.ln(1.6)

    @property
    def room(self) -> float:
        """Millimetres left above the footer."""
        return float(_BOTTOM - self.get_y())


def _first_page(page: _Page, report: Report) -> None:
    page.say(_shortened(report.title, 120), 17, bold=True)
    page.say(_shortened(report.subtitle, 300), 8.5, grey=True)
    page.ln(2)
    _headlines(page, report)
    if report.warnings:
        _warnings(page, report)
    table = 8 + 5.2 * (len(report.counts) + 1) + 10
    chart_height = _WIDTH * 0.62 * 2.3 / 6.2
    _picture(page, report.overview, min(page.room - table - 10, 150))
    page.say(HATCHED, 7, grey=True)
    page.head("Buildings by damage")
    page.image(io.BytesIO(report.chart), x=_MARGIN + _WIDTH * 0.53, y=page.get_y(), w=_WIDTH * 0.47)
    top = page.get_y()
    rows = [(row.name, row.mapped, row.share, row.estimate) for row in report.counts]
    _table(
        page, ("Class", "Mapped", "Share", "Estimate (95 %)"), rows, (24, 17, 15, 38), [r.colour for r in report.counts]
    )
    page.set_y(max(page.get_y(), top + chart_height * 0.75))
    page.say(report.basis, 7, grey=True)


def _second_page(page: _Page, report: Report) -> None:
    if report.areas:
        page.head("Areas with most damaged buildings")
        rows = [
            (_shortened(row.area, 40), row.buildings, row.destroyed, row.damaged, row.share, row.estimate)
            for row in report.areas
        ]
        names = ("Area", "Buildings", "Destroyed", "Damaged", "Share", "Damaged, 95 %")
        _table(page, names, rows, (62, 22, 22, 22, 18, 36))
        if report.areas_told:
            page.say(report.areas_told, 7, grey=True)
    if report.chips:
        page.head("Sample buildings, drawn at random: before and after")
        _chips(page, report)
    if report.assessment:
        page.head("Assessment by a person")
        _pairs(page, report.assessment)
    page.head("Limits")
    for limit in report.limits:
        page.say(f"•  {limit}", 7.5)
    page.head("Provenance")
    _pairs(page, report.provenance)


def _headlines(page: _Page, report: Report) -> None:
    width = (_WIDTH - _GAP * (len(report.headlines) - 1)) / len(report.headlines)
    top = page.get_y()
    for number, (value, what) in enumerate(report.headlines):
        x = _MARGIN + number * (width + _GAP)
        page.set_fill_color(*_PALE)
        page.rect(x, top, width, 17, style="F")
        page.set_fill_color(*_INK)
        page.rect(x, top, width, 0.9, style="F")
        page.set_xy(x + 1.2, top + 2)
        page.set_text_color(*_INK)
        page.set_font(_FONT, "B", 11)
        page.cell(width - 2.4, 5, value)
        page.set_xy(x + 1.2, top + 7.4)
        page.set_font(_FONT, "", 6.4)
        page.multi_cell(width - 2.4, 2.9, what, align="L")
    page.set_xy(_MARGIN, top + 19)


def _warnings(page: _Page, report: Report) -> None:
    shown = [_shortened(one, 240) for one in report.warnings[:_MOST_WARNINGS]]
    if len(report.warnings) > _MOST_WARNINGS:
        shown.append(f"and {len(report.warnings) - _MOST_WARNINGS} more, see the map's manifest")
    page.set_font(_FONT, "B", 8)
    page.set_text_color(*_INK)
    page.set_fill_color(*_WARN)
    page.multi_cell(_WIDTH, 4.4, "Before you rely on this map", fill=True, new_x="LMARGIN", new_y="NEXT")
    page.set_font(_FONT, "", 7.2)
    for one in shown:
        page.multi_cell(_WIDTH, 3.5, page.readable(f"•  {one}"), fill=True, align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(1.5)


def _picture(page: _Page, jpeg: bytes, most: float) -> None:
    with Image.open(io.BytesIO(jpeg)) as image:
        ratio = image.height / image.width
    width = min(_WIDTH, most / ratio)
    page.image(io.BytesIO(jpeg), x=_MARGIN + (_WIDTH - width) / 2, y=page.get_y(), w=width)
    page.set_y(page.get_y() + width * ratio + 1)


def _table(
    page: _Page,
    names: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    widths: tuple[float, ...],
    colours: list[str] | None = None,
) -> None:
    for number, row in enumerate([names, *rows]):
        page.set_font(_FONT, "B" if number == 0 else "", 7.5)
        page.set_text_color(*_INK)
        y = page.get_y()
        if number and colours:
            page.set_fill_color(*_rgb(colours[number - 1]))
            page.rect(_MARGIN, y + 1, 2.6, 2.6, style="F")
        for place, (text, width) in enumerate(zip(row, widths, strict=True)):
            indent = 3.6 if colours and place == 0 else 0
            page.set_x(_MARGIN + sum(widths[:place]) + indent)
            page.cell(width - indent, 4.6, _fitted(page, text, width - indent - 1), align="R" if place else "L")
        page.set_draw_color(207, 216, 220)
        page.line(_MARGIN, y + 4.7, _MARGIN + sum(widths), y + 4.7)
        page.set_xy(_MARGIN, y + 4.9)


def _chips(page: _Page, report: Report) -> None:
    width = (_WIDTH - _GAP * (_PAIRS - 1)) / _PAIRS
    half = (width - 0.6) / 2
    top = page.get_y()
    for number, chip in enumerate(report.chips):
        x = _MARGIN + number % _PAIRS * (width + _GAP)
        y = top + number // _PAIRS * (half + 8.4)
        page.image(io.BytesIO(chip.before), x=x, y=y, w=half)
        page.image(io.BytesIO(chip.after), x=x + half + 0.6, y=y, w=half)
        page.set_text_color(*_INK)
        page.set_font(_FONT, "", 6.2)
        page.set_xy(x, y + half + 0.4)
        page.cell(width, 3, _fitted(page, chip.caption, width))
        page.set_text_color(*_GREY)
        page.set_font(_FONT, "", 5.4)
        page.set_xy(x, y + half + 3.3)
        page.cell(width, 3, _fitted(page, chip.building, width))
    rows = -(-len(report.chips) // _PAIRS)
    page.set_xy(_MARGIN, top + rows * (half + 8.4))


def _pairs(page: _Page, lines: tuple[tuple[str, str], ...]) -> None:
    for name, value in lines:
        if page.room < 4:
            break
        y = page.get_y()
        page.set_text_color(*_INK)
        page.set_font(_FONT, "B", 7)
        page.cell(36, 3.5, _fitted(page, name, 35))
        page.set_font(_FONT, "", 7)
        page.set_xy(_MARGIN + 37, y)
        page.multi_cell(
            _WIDTH - 37, 3.5, page.readable(_shortened(value, 200)), align="L", new_x="LMARGIN", new_y="NEXT"
        )


def _fitted(page: _Page, text: str, width: float) -> str:
    """Returns a text that is no wider than so many millimetres in the current font."""
    text = page.readable(text)
    if page.get_string_width(text) <= width:
        return text
    while text and page.get_string_width(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
