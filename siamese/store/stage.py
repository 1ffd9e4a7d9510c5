"""Stages, which define when two results are the same. Every digest is computed here.

A result's identity is its stage's name and declared version, the contents of its inputs, and the params that differ
from their neutral values. The code, libraries and machine that made it are recorded beside it (``provenance``), so an
upgrade alone causes no work to be redone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from siamese.params.section import Section
from siamese.store.manifest import Manifest, Origin
from siamese.store.objects import ObjectStore
from siamese.store.provenance import code_version

M = TypeVar("M", bound=Manifest)
Input = str | Manifest | Sequence[Manifest]


@dataclass(frozen=True)
class Stage(Generic[M]):
    """One step of the chain, declared once, beside its verb.

    Raise ``version`` when the same inputs and params are to give a different result from now on. Results of earlier
    versions stay valid; ``runs.redo_older`` decides whether flows make them again.
    """

    manifest: type[M]
    version: int
    package: str
    """The verb's package; ``stages.lock`` keeps the hash of the code that it reaches."""
    sections: Mapping[str, type[Section]]
    """The sections of params.yaml that it takes, by name."""
    name: str = ""
    """A noun; by default what the manifest calls itself."""

    @property
    def noun(self) -> str:
        """Name of what the stage makes."""
        return self.name or self.manifest.kind

    def plan(self, *, inputs: Mapping[str, Input], params: Mapping[str, Section]) -> Origin:
        """Returns the identity of the stage's work before it is done.

        Args:
            inputs: Inputs by name: manifests, identified by their content, or identities of other things.
            params: The params sections, by name.
        """
        values = {name: section.identity() for name, section in params.items()}
        contents = {name: _content(value) for name, value in inputs.items()}
        return Origin(
            digest=_digest(self.noun, self.version, contents, values),
            stage=self.noun,
            version=self.version,
            inputs=contents,
            sources={name: _sources(value) for name, value in inputs.items() if not isinstance(value, str)},
            params=values,
            code=code_version(self.package),
        )

    def find(self, store: ObjectStore, origin: Origin, *, older: bool = False) -> M | None:
        """Returns the published result of this work; None when it has not been done.

        Args:
            store: Store to search.
            origin: Identity of the work.
            older: Also accept what an earlier version of this stage made from the same inputs and params.
        """
        found = self.manifest.find(store, origin.digest)
        return found or (self._find_older(store, origin) if older else None)

    def _find_older(self, store: ObjectStore, origin: Origin) -> M | None:
        for version in range(self.version - 1, 0, -1):
            digest = _digest(self.noun, version, origin.inputs, origin.params)
            if found := self.manifest.find(store, digest):
                return found
        # The digests of results from before stages were declared cannot be derived, so each is inspected.
        for made in self.manifest.former_ones(store):
            if self.same_work(made, origin):
                return made
        return None

    def same_work(self, made: Manifest, origin: Origin) -> bool:
        """Returns whether a manifest of any version, even from before stages had versions, is a result of this work."""
        if made.origin.stage:
            return (made.origin.stage, made.origin.inputs, made.origin.params) == (
                origin.stage, origin.inputs, origin.params,
            )  # fmt: skip
        plain = {name: value for name, value in origin.inputs.items() if name not in origin.sources}
        before = made.origin.inputs
        return before == plain | origin.sources and self._former_params(made) == origin.params

    def _former_params(self, made: Manifest) -> dict[str, Any]:
        """Returns the params of a manifest from before stages were declared, without those that are neutral now.

        Params that are now unknown are all kept.
        """
        known: dict[str, Any] = {}
        for name, values in made.origin.params.items():
            section = self.sections.get(name)
            neutral = section.neutral() if section else {}
            known[name] = {key: value for key, value in values.items() if neutral.get(key, ...) != value}
        return known


def _digest(stage: str, version: int, inputs: Mapping[str, str], params: Mapping[str, Any]) -> str:
    whole = json.dumps([stage, version, dict(inputs), dict(params)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _content(value: Input) -> str:
    match value:
        case str():
            return value
        case Manifest():
            return value.content
        case _:
            return " ".join(one.content for one in value)


def _sources(value: Input) -> str:
    match value:
        case Manifest():
            return value.digest
        case str():
            return value
        case _:
            return " ".join(one.digest for one in value)
