"""``siamese quantize``: quantizes a network to 8-bit integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Out, Overrides, ParamsFile, emit, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from siamese.manifests import Checkpoint, Quantized


def quantize(
    model: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="latest, a checkpoint's digest, s3://… or what --out wrote, models:/NAME@ALIAS, models:/NAME/VERSION.",
        ),
    ] = "latest",
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    r"""Quantize a network to 8-bit integers, for faster maps on machines without a GPU.

    The result is a separate checkpoint, and the latest: evaluate, register and promote it like any other, and the gate
    decides whether it is good enough (promotion.minimum_gain=-0.02 trades a little of the score for the speed). It
    runs on OpenVINO wherever it is used. Value ranges are calibrated on scenes that the network was trained on; the
    effect on its scores is measured on the validation split and reported. If this is already done, it says so at once.

    Requires the package nncf: pip install 'siamese\[int8]'
    """
    from siamese.params import load_params
    from siamese.store import ObjectStore

    settings = load_params(params, overrides or ())
    store = ObjectStore()
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.quantization import quantize as quantize_network
    from siamese.registry import resolve_model

    checkpoint = quantize_network(resolve_model(model, store), settings.quantization, store)
    checkpoint.mark_latest(store)
    write_json(checkpoint, out)
    assert checkpoint.quantized is not None  # noqa: S101
    emit(checkpoint, _table(checkpoint, checkpoint.quantized), as_json=as_json)


def _table(checkpoint: Checkpoint, made: Quantized) -> Table:
    from rich.table import Table

    table = Table(title=f"checkpoint {checkpoint.digest}: {made.source} in 8-bit integers", title_justify="left")
    table.add_column("validation")
    table.add_column("before", justify="right")
    table.add_column("int8", justify="right")
    if made.before is None or checkpoint.validation is None or made.changed is None:
        table.add_row("no validation split", "", "")
        return table
    after = checkpoint.validation.model_dump()
    for name, value in made.before.model_dump().items():
        table.add_row(name.replace("_", " "), f"{value:.3f}", f"{after[name]:.3f}")
    table.add_row("building pixels whose class changed", "", f"{made.changed:.2%}")
    return table
