"""``siamese pretrain``: pre-trains an encoder without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Out, Overrides, ParamsFile, emit, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from siamese.manifests import Pretraining


def pretrain(
    pairs: Annotated[
        str, typer.Option(metavar="REF", help="Pair set: latest, a digest, s3://… or what --out wrote.")
    ] = "latest",
    method: Annotated[
        str | None, typer.Option(help="byol, dino or simsiam; pretraining.method.", metavar="METHOD")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after about this many minutes; pretraining.minutes.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most this many epochs; pretraining.epochs.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Pre-train an encoder on the images of a pair set, without labels, for when labels are scarce.

    It learns that two views of one place belong together, by BYOL, DINO or SimSiam. Where measured, BYOL helped most
    with five labelled scenes and SimSiam not at all; with ten scenes nothing helped. network.encoder chooses the
    encoder, network.pretrained whether it starts from ImageNet weights. Its state is saved to the bucket about once a
    minute: after a kill or Ctrl-C, the same command resumes from there. If this is already done, it says so at once.

    The spread of the embeddings is near 1 when all is well; near 0 the encoder has collapsed, which is reported.
    """
    from siamese.manifests import PairSet
    from siamese.params import load_params
    from siamese.store import ObjectStore

    shortcuts = {"pretraining.method": method, "pretraining.minutes": minutes, "pretraining.epochs": epochs}
    given = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    settings = load_params(params, [*(overrides or ()), *given])
    store = ObjectStore()
    pair_set = PairSet.resolve(store, pairs)
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.pretraining import pretrain as pretrain_encoder

    made = pretrain_encoder(pair_set, settings.network, settings.pretraining, store)
    made.mark_latest(store)
    write_json(made, out)
    emit(made, _table(made), as_json=as_json)


def _table(made: Pretraining) -> Table:
    from rich.table import Table

    title = f"pretraining {made.digest}: {made.method}, {made.epochs} epochs in {made.minutes:.1f} minutes"
    table = Table(title=title, title_justify="left", caption=made.warning, caption_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    for name in ("encoder", "start", "steps"):
        table.add_row(name, str(getattr(made, name)))
    table.add_row("spread", f"{made.spread:.2f}")
    table.add_row("rank", f"{made.rank:.1f}")
    return table
