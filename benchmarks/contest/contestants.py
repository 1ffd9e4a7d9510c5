"""The contestants: this project's network, the same without the pre image, two references, and ablations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import yaml

from siamese.errors import SiameseError

Kind = Literal["ours", "post-only", "fcsiamdiff", "unet"]
_ABLATIONS = Path(__file__).with_name("ablations.yaml")
_LIBRARIES = ("torchgeo", "segmentation_models_pytorch")


@dataclass(frozen=True)
class Contestant:
    """One network and how it is trained."""

    name: str
    kind: Kind
    title: str
    overrides: tuple[str, ...] = ()
    """Overrides of params, ``section.key=value`` each."""

    @property
    def is_reference(self) -> bool:
        """Whether it is a third-party network."""
        return self.kind in ("fcsiamdiff", "unet")


OURS = Contestant("ours", "ours", "ours")
CONTEST = (
    OURS,
    Contestant("post-only", "post-only", "ours, post image given as both dates"),
    Contestant("fcsiamdiff", "fcsiamdiff", "torchgeo FCSiamDiff"),
    Contestant("unet", "unet", "segmentation_models_pytorch Unet, both dates stacked"),
)


def chosen(names: Sequence[str]) -> tuple[Contestant, ...]:
    """Returns the contestants with these names; all of them if no name is given.

    Raises:
        SiameseError: One of them is a reference whose library is not installed.
    """
    found = tuple(one for one in CONTEST if not names or one.name in names)
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing and any(one.is_reference for one in found):
        fix = "install the extra `benchmarks` (docs/experiments.md), or pass --only ours --only post-only"
        raise SiameseError(f"not installed: {', '.join(missing)}", where="the references", fix=fix)
    return found


def ablation_table() -> dict[str, tuple[str, ...]]:
    """Returns overrides by name of ablation."""
    return {name: tuple(overrides) for name, overrides in yaml.safe_load(_ABLATIONS.read_text()).items()}


def ablations(names: Iterable[str]) -> tuple[Contestant, ...]:
    """Returns the default and the ablations with these names; ``all`` selects every one.

    Raises:
        SiameseError: There is no such ablation.
    """
    table, names = ablation_table(), list(names)
    unknown = sorted(set(names) - set(table) - {"all"})
    if unknown:
        fix = f"there are {', '.join(table)}"
        raise SiameseError(f"no such ablation: {', '.join(unknown)}", where="--ablate", fix=fix)
    wanted = {name: overrides for name, overrides in table.items() if name in names or "all" in names}
    return (OURS, *(Contestant(name, "ours", name, overrides) for name, overrides in wanted.items()))
