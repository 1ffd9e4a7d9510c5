"""Model registry: versions in MLflow, the promotion gate and ledger, and looking up models by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from siamese.registry.aliases import project_aliases
    from siamese.registry.gate import Verdict, judge
    from siamese.registry.ledger import Ban, Comparison, Ledger, LedgerEntry, RegisteredModel, read_ledger
    from siamese.registry.promotion import Ruling, history, lift, promote, rollback
    from siamese.registry.registration import register
    from siamese.registry.resolution import model_name, resolve_model, resolve_version
    from siamese.registry.weights import verify_weights

__all__ = [
    "Ban",
    "Comparison",
    "Ledger",
    "LedgerEntry",
    "RegisteredModel",
    "Ruling",
    "Verdict",
    "history",
    "judge",
    "lift",
    "model_name",
    "project_aliases",
    "promote",
    "read_ledger",
    "register",
    "resolve_model",
    "resolve_version",
    "rollback",
    "verify_weights",
]

_MODULES: Final = {
    "Ban": "siamese.registry.ledger",
    "Comparison": "siamese.registry.ledger",
    "Ledger": "siamese.registry.ledger",
    "LedgerEntry": "siamese.registry.ledger",
    "RegisteredModel": "siamese.registry.ledger",
    "Ruling": "siamese.registry.promotion",
    "Verdict": "siamese.registry.gate",
    "history": "siamese.registry.promotion",
    "judge": "siamese.registry.gate",
    "lift": "siamese.registry.promotion",
    "model_name": "siamese.registry.resolution",
    "project_aliases": "siamese.registry.aliases",
    "promote": "siamese.registry.promotion",
    "read_ledger": "siamese.registry.ledger",
    "register": "siamese.registry.registration",
    "resolve_model": "siamese.registry.resolution",
    "resolve_version": "siamese.registry.resolution",
    "rollback": "siamese.registry.promotion",
    "verify_weights": "siamese.registry.weights",
}


def __getattr__(name: str) -> object:
    """Imports names on first access: MLflow loads for seconds, and who resolves a champion does not need it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
