"""QGIS styles (QML) of a map's layers."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from siamese.classes import COLOURS

_FILL_ALPHA: Final = 140
_PALE_ALPHA: Final = 80
_DOCTYPE: Final = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_VERSION: Final = "3.22.0-Białowieża"
_STEPS: Final = ((0.0, 0.0), (0.1, 0.1), (0.25, 0.25), (0.5, 0.5))
_RAMP: Final = ((255, 255, 204), (254, 217, 118), (253, 141, 60), (189, 0, 38))


def buildings_style() -> str:
    """Returns the style of buildings: filled by damage class, outlined in the same colour."""
    document = _document()
    renderer = SubElement(
        document,
        "renderer-v2",
        {"type": "categorizedSymbol", "attr": "damage_class", "symbollevels": "0", "enableorderby": "0"},
    )
    categories, symbols = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    for number, (name, colour) in enumerate(COLOURS.items()):
        told = {"symbol": str(number), "value": name, "label": name.replace("_", " "), "render": "true"}
        SubElement(categories, "category", told | {"type": "string"})
        _fill(symbols, str(number), colour, alpha=_FILL_ALPHA)
    _map_tip(document, '<b>[% "damage_class" %]</b><br>confidence [% round("confidence", 2) %]<br>[% "id" %]')
    return _text(document)


def areas_style() -> str:
    """Returns the style of areas: from pale to dark by the share of buildings that are damaged."""
    document = _document()
    renderer = SubElement(
        document,
        "renderer-v2",
        {"type": "graduatedSymbol", "attr": "damaged_share", "graduatedMethod": "GraduatedColor", "symbollevels": "0"},
    )
    ranges, symbols = SubElement(renderer, "ranges"), SubElement(renderer, "symbols")
    starts = [start for start, _ in _STEPS]
    for number, (low, colour) in enumerate(zip(starts, _RAMP, strict=True)):
        high = starts[number + 1] if number + 1 < len(starts) else 1.0
        told = {"symbol": str(number), "lower": f"{low}", "upper": f"{high}", "render": "true"}
        SubElement(ranges, "range", told | {"label": f"{low:.0%} to {high:.0%} damaged"})
        _fill(symbols, str(number), colour, alpha=_PALE_ALPHA)
    return _text(document)


def _document() -> Element:
    return Element("qgis", {"version": _VERSION, "styleCategories": "Symbology|MapTips"})


def _fill(symbols: Element, name: str, colour: tuple[int, int, int], *, alpha: int) -> None:
    symbol = SubElement(symbols, "symbol", {"type": "fill", "name": name, "alpha": "1", "clip_to_extent": "1"})
    layer = SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
    red, green, blue = colour
    properties = {
        "color": f"{red},{green},{blue},{alpha}",
        "outline_color": f"{red},{green},{blue},255",
        "outline_style": "solid",
        "outline_width": "0.4",
        "outline_width_unit": "MM",
        "style": "solid",
        "joinstyle": "miter",
    }
    # QGIS before 3.26 reads <prop>, later versions <Option>; each ignores the other.
    options = SubElement(layer, "Option", {"type": "Map"})
    for key, value in properties.items():
        SubElement(options, "Option", {"type": "QString", "name": key, "value": value})
    for key, value in properties.items():
        SubElement(layer, "prop", {"k": key, "v": value})


def _map_tip(document: Element, text: str) -> None:
    SubElement(document, "mapTip").text = text


def _text(document: Element) -> str:
    return _DOCTYPE + tostring(document, encoding="unicode")
