"""``siamese score``: the official xView2 scorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siamese.cli.common import JsonFile, write_json


def score(
    predictions: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of prediction PNGs.")],
    targets: Annotated[Path, typer.Argument(metavar="TARGET_DIR", help="Folder of target PNGs.")],
    json_file: JsonFile = None,
) -> None:
    """Score predictions as the official xView2 scorer does: same files, same keys, same numbers, same rejections.

    PRED_DIR holds {test|hold}_{localization|damage}_ID_prediction.png, TARGET_DIR the same with _target.png:
    1024x1024, 8 bits, one band, values 0 (background) to 4 (destroyed). Every target needs both predictions;
    other predictions are ignored. `siamese evaluate --predictions DIR` writes such files.
    """
    from rich.console import Console

    from siamese.cli.scoretable import counts_table
    from siamese.metrics.official import score_folders

    counts = score_folders(predictions, targets)
    write_json(counts.scores(), json_file)
    if str(json_file) != "-":
        Console().print(counts_table(counts))
