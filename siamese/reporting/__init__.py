"""Reporting: makes the report and other products of a published map anew, and hands its files on."""

from __future__ import annotations

from siamese.reporting.verb import current_products, find_assessment, make_again

__all__ = ["current_products", "find_assessment", "make_again"]
