"""``siamese train``: trains a network on a pair set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Out, Overrides, ParamsFile, emit, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from siamese.manifests import Checkpoint


def train(
    pairs: Annotated[
        str, typer.Option(metavar="REF", help="Pair set: latest, a digest, s3://… or what --out wrote.")
    ] = "latest",
    parent: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Model to start from instead of ImageNet: models:/NAME@champion, models:/NAME/VERSION, latest, a "
            "checkpoint's digest, s3://… or what --out wrote.",
        ),
    ] = None,
    pretraining: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Encoder to start from, as `siamese pretrain` made it: latest, a digest, …"),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after about this many minutes of training; training.minutes.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most this many epochs; training.epochs.")] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes that share the crops, e.g. one for each GPU; training.processes."),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Train the Siamese U-Net on a pair set.

    Its state is saved to the bucket about once a minute: after a kill, the same command resumes from there, and
    likewise after Ctrl-C, which waits for the step to end. If this is already done with the same pairs and params, it
    says so at once. Without --minutes, the same seed gives the same weights on the same machine.

    With an MLflow server (MLFLOW_TRACKING_URI, or `siamese up`) params, curves, example pictures and system metrics
    are logged there. To try another network: siamese train --minutes 5 --set network.encoder=resnet34
    Several processes give the result that one would from the same crops: --processes N, or under torchrun:
    torchrun --nproc-per-node N --no-python siamese train

    To continue training from the champion: siamese train --parent models:/siamese-damage@champion
    """
    from siamese.errors import SiameseError
    from siamese.manifests import PairSet, Pretraining
    from siamese.params import load_params
    from siamese.store import ObjectStore

    if parent and pretraining:
        raise SiameseError("a run starts from a model or from an encoder, not from both", where="--pretraining")
    shortcuts = {"training.minutes": minutes, "training.epochs": epochs, "training.processes": processes}
    given = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    settings = load_params(params, [*(overrides or ()), *given])
    store = ObjectStore()
    pair_set = PairSet.resolve(store, pairs)
    encoder = Pretraining.resolve(store, pretraining) if pretraining else None
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.registry import resolve_model
    from siamese.training import speaks
    from siamese.training import train as train_network

    start: Checkpoint | Pretraining | None = resolve_model(parent, store) if parent else encoder
    checkpoint = train_network(pair_set, settings.network, settings.training, store, parent=start)
    if not speaks():
        return
    checkpoint.mark_latest(store)
    write_json(checkpoint, out)
    emit(checkpoint, _table(checkpoint), as_json=as_json)


def _table(checkpoint: Checkpoint) -> Table:
    from rich.table import Table

    title = (
        f"checkpoint {checkpoint.digest}: {checkpoint.epochs} epochs in {checkpoint.minutes:.1f} minutes, "
        f"best {checkpoint.best_epoch}, start {checkpoint.start}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("validation")
    table.add_column("", justify="right")
    if checkpoint.validation is None:
        table.add_row("no validation split", "")
        return table
    for name, value in checkpoint.validation.model_dump().items():
        table.add_row(name.replace("_", " "), f"{value:.3f}")
    return table
