"""Prints a report as one HTML file: pictures inside, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from siamese.products.report import HATCHED, Report


def print_html(report: Report) -> bytes:
    """Returns a report as HTML; every text is escaped."""
    environment = Environment(
        loader=PackageLoader("siamese.products"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["data"] = _data
    return environment.get_template("report.html").render(report=report, hatched=HATCHED).encode()


def _data(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
