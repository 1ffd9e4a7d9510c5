"""The aliases ``champion`` and ``challenger`` in MLflow: a projection of the ledger, refreshed by every command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.errors import SiameseError
from siamese.registry.ledger import Ledger, read_ledger
from siamese.store import ObjectStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
_TRIES = 20


def project_aliases(store: ObjectStore, model: str) -> Ledger:
    """Sets the aliases in MLflow to match the ledger.

    The ledger is the source of truth: after a crash between writing an entry and its alias, the next call repairs the
    alias, and an alias moved by hand is moved back. MLflow has no compare-and-set, so a slow process could overwrite
    the alias with an old champion; each process therefore reads the ledger again after writing, so that the last
    writer has seen the last entry.

    Returns:
        The ledger that the aliases now follow.

    Raises:
        SiameseError: MLflow lacks the champion's version.
        TransientError: MLflow does not answer.
    """
    from siamese.registry.server import connect, told  # MLflow loads for seconds; readers of a ledger do without it

    client = connect()
    with told():
        for _ in range(_TRIES):
            ledger = read_ledger(store, model)
            _write(client, model, ledger)
            if read_ledger(store, model).sequence == ledger.sequence:
                return ledger
    raise SiameseError("the ledger grows faster than MLflow can follow", where=model, fix="try again")


def _write(client: MlflowClient, model: str, ledger: Ledger) -> None:
    from siamese.registry.server import aliases, find_version, set_alias

    now = aliases(client, model)
    wanted = {
        CHAMPION: ledger.champion.version if ledger.champion else None,
        CHALLENGER: _challenger(client, model, ledger),
    }
    for alias, version in wanted.items():
        if now.get(alias) == version:
            continue
        if version is None:
            client.delete_registered_model_alias(model, alias)
            continue
        if find_version(client, model, version) is None:
            fix = "restore MLflow's database, or use the server that the ledger was written with"
            raise SiameseError(f"MLflow has no version {version}, which the ledger names", where=model, fix=fix)
        set_alias(client, model, alias, version)


def _challenger(client: MlflowClient, model: str, ledger: Ledger) -> int | None:
    """Returns the newest version if not yet judged, else the last one rejected; never the champion or a banned one."""
    from siamese.registry.server import newest_version

    champion = ledger.champion.version if ledger.champion else None
    judged = {entry.candidate.version for entry in ledger.entries}
    newest = newest_version(client, model)
    rejected = [
        entry.candidate.version
        for entry in ledger.entries
        if entry.kind == "reject" and not ledger.ban_on(entry.candidate)
    ]
    waiting = [newest] if newest is not None and newest not in judged else []
    return next((version for version in [*waiting, *reversed(rejected)] if version != champion), None)
