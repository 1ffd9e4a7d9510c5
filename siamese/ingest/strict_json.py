"""Strict JSON: no duplicate keys, no NaN, no unlimited nesting."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_strict_json(data: bytes) -> object:
    """Parses JSON strictly.

    Raises:
        ValueError: The data is not UTF-8 or not JSON, a key occurs twice in one object, a number is NaN or infinite,
            or the nesting is too deep.
    """
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text: byte {error.start} is not") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("is not a label: nested too deep") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"holds the key {twice[:60]!r} twice in one object")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"holds {text}, which is no number")
