"""Model registry: versions in MLflow, the promotion gate and ledger, and looking up models by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

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

# Who resolves a champion does without MLflow.
__getattr__ = lazily(
    __name__,
    {
        "siamese.registry.aliases": ("project_aliases",),
        "siamese.registry.gate": ("Verdict", "judge"),
        "siamese.registry.ledger": ("Ban", "Comparison", "Ledger", "LedgerEntry", "RegisteredModel", "read_ledger"),
        "siamese.registry.promotion": ("Ruling", "history", "lift", "promote", "rollback"),
        "siamese.registry.registration": ("register",),
        "siamese.registry.resolution": ("model_name", "resolve_model", "resolve_version"),
        "siamese.registry.weights": ("verify_weights",),
    },
)
