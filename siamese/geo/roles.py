"""Infers from names and metadata which of two images was taken before and which after a disaster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import Final, Literal

Role = Literal["pre", "post"]

_WORD: Final = re.compile(r"(?<![a-z0-9])(pre|post)(?![a-z0-9])", re.IGNORECASE)
_DATE: Final = re.compile(r"(?<!\d)(19\d\d|20\d\d)([-_:.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")


def role_warnings(pre: Sequence[tuple[str, str | None]], post: Sequence[tuple[str, str | None]]) -> tuple[str, ...]:
    """Finds signs that images were given in the wrong roles.

    Args:
        pre: Name, and time in the file's metadata (TIFFTAG_DATETIME), of each image before the disaster.
        post: The same for each image after it.

    Returns:
        One line for each sign: a name marked pre or post (xBD's ``_pre_disaster``) that was given in the other role,
        or dates, from names or else from metadata, of which the latest pre date is later than the earliest post date.
    """
    return (*_misnamed(pre, "pre"), *_misnamed(post, "post"), *_out_of_order(pre, post))


def named_role(name: str) -> Role | None:
    """Returns the role in a file's name, or else in its folder's; None if they contain neither or both."""
    path = PurePosixPath(name.replace("\\", "/"))
    for part in (path.stem, path.parent.name):
        words = {word.lower() for word in _WORD.findall(part.replace("_", " "))}
        if words:
            return "pre" if words == {"pre"} else "post" if words == {"post"} else None
    return None


def date_in(text: str) -> date | None:
    """Returns the only date (2018-10-13, 20181013, 2018:10:13) in a text; None if there is none or several."""
    found = {match.group(1, 3, 4) for match in _DATE.finditer(text)}
    if len(found) != 1:
        return None
    try:
        return date(*map(int, found.pop()))
    except ValueError:
        return None


def _misnamed(images: Sequence[tuple[str, str | None]], role: Role) -> Iterable[str]:
    wrong = [name for name, _ in images if named_role(name) not in (None, role)]
    if wrong:
        others = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        said = "post" if role == "pre" else "pre"
        yield f"{wrong[0]}{others}: given as {role}, but named {said}; check that the dates are not swapped"


def _out_of_order(pre: Sequence[tuple[str, str | None]], post: Sequence[tuple[str, str | None]]) -> Iterable[str]:
    for where, dates in (("names", _name_dates), ("metadata", _metadata_dates)):
        before, after = dates(pre), dates(post)
        if not before or not after:
            continue
        (latest, earlier_name), (earliest, later_name) = max(before), min(after)
        if latest > earliest:
            yield (
                f"by their {where} the pre image {earlier_name} is of {latest}, after the post image {later_name} of "
                f"{earliest}; check that the dates are not swapped"
            )
        return


def _name_dates(images: Sequence[tuple[str, str | None]]) -> list[tuple[date, str]]:
    found = ((date_in(PurePosixPath(name).name), name) for name, _ in images)
    return [(day, name) for day, name in found if day is not None]


def _metadata_dates(images: Sequence[tuple[str, str | None]]) -> list[tuple[date, str]]:
    found = ((date_in(taken) if taken else None, name) for name, taken in images)
    return [(day, name) for day, name in found if day is not None]
