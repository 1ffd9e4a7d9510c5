"""Reporting: makes the report and other products of a published map anew, and hands its files on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.reporting.verb import current_products, find_assessment, make_again

__all__ = ["current_products", "find_assessment", "make_again"]

# A stage is planned without drawing anything.
__getattr__ = lazily(
    __name__,
    {
        "siamese.reporting.verb": ("current_products", "find_assessment", "make_again"),
    },
)
