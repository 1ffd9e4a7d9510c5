"""Measures how much of real imagery is marked as not judgeable, and how much of degraded copies is found.

    python benchmarks/obscured.py --scenes ../shared/data/xbd

The post images of real scenes are taken as they are, and blurred, hazed, darkened, whitened, clouded, or replaced by
noise or by the pre image. Prints one JSON line: shares of the pixels that both dates show, by reason.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from budget import Budget, add_minutes

from siamese.mapping.blocks import POST_MISSING, PRE_MISSING
from siamese.mapping.obscured import find_obscured
from siamese.mapping.reasons import Reason

Image = npt.NDArray[np.uint8]


def blurred(sigma: float) -> Callable[[Image, Image], Image]:
    """Returns a blur by a Gaussian of this many pixels."""
    return lambda _, post: np.asarray(cv2.GaussianBlur(post, (0, 0), sigma), np.uint8)


def hazy(share: float) -> Callable[[Image, Image], Image]:
    """Returns haze that covers this share of the light."""
    return lambda _, post: (post * (1 - share) + 220 * share).astype(np.uint8)


def clouded(_: Image, post: Image) -> Image:
    """Returns thick cloud with soft billows."""
    rng = np.random.default_rng(1)
    billows = cv2.resize(rng.integers(190, 250, (16, 16), np.uint8), post.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.asarray(billows, np.uint8)[..., None], 3, axis=2)


COPIES: dict[str, Callable[[Image, Image], Image]] = {
    "as it is": lambda _, post: post,
    "blur of 1 px": blurred(1),
    "blur of 2 px": blurred(2),
    "blur of 4 px": blurred(4),
    "haze of 30 %": hazy(0.3),
    "haze of 50 %": hazy(0.5),
    "haze of 70 %": hazy(0.7),
    "thick cloud": clouded,
    "all white": lambda _, post: np.full_like(post, 255),
    "a tenth of the light": lambda _, post: (post * 0.1 + 1).astype(np.uint8),
    "noise": lambda _, post: np.random.default_rng(1).integers(1, 256, post.shape, np.uint8),
    "the pre image": lambda pre, _: pre,
    "the pre image as JPEG": lambda pre, _: np.asarray(cv2.imdecode(cv2.imencode(".jpg", pre)[1], 1), np.uint8),
    "4 times coarser": lambda _, post: np.asarray(
        cv2.resize(cv2.resize(post, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), post.shape[1::-1]), np.uint8
    ),
}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--scenes", type=Path, required=True, help="xBD's flat layout.")
    parser.add_argument("--every", type=int, default=3, help="Use every so many scenes for degraded copies.")
    given = parser.parse_args()
    paths = sorted((given.scenes / "images").glob("*_pre_disaster.png"))
    budget = Budget("obscured", given.minutes)
    figures: dict[str, Any] = {"scenes": len(paths)}
    for copy, change in COPIES.items():
        some = paths if copy == "as it is" else paths[:: given.every]
        found = budget.attempt(copy, partial(marked, some, change))
        if found is not None:
            figures[copy] = found
    print(budget.record(figures))


def marked(paths: Sequence[Path], change: Callable[[Image, Image], Image]) -> dict[str, float]:
    """Returns the share of the pixels that both dates show which is unknown, in all and by reason.

    Args:
        paths: Pre images.
        change: Makes of both images of a scene the post image that is judged.
    """
    counts, whole = np.zeros(len(Reason), np.int64), 0
    for path in paths:
        pre, post = (
            np.asarray(cv2.imread(str(path).replace("_pre_", f"_{date}_")), np.uint8) for date in ("pre", "post")
        )
        seen = pre.any(2) & post.any(2)
        unseen = np.where(pre.any(2), 0, PRE_MISSING) | np.where(post.any(2), 0, POST_MISSING)
        codes, _ = find_obscured(pre, change(pre, post), unseen.astype(np.uint8))
        counts += np.bincount(codes[seen], minlength=len(Reason))
        whole += int(seen.sum())
    shares = {Reason(code).word: int(count) / whole for code, count in enumerate(counts) if code and count}
    return {"unknown": 1 - int(counts[0]) / whole} | shares


if __name__ == "__main__":
    main()
