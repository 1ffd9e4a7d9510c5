"""Blocks of a prediction: the network's output for one window, serialized and stored under its own identity."""

from __future__ import annotations

import hashlib
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from siamese.errors import SiameseError
from siamese.manifests import PredictedBlock, Prediction
from siamese.mapping.reasons import Codes, Reason
from siamese.model import Decision, Probabilities
from siamese.model.decision import building_scale, damage_from
from siamese.model.rounding import decode_damage, encode_damage
from siamese.store import Blob, ObjectStore, RaceLostError, S3Uri, put_blob

Bytes = npt.NDArray[np.uint8]
Torn = dict[str, tuple[tuple[int, int, int, int], ...]]
"""Damaged blocks of image files, by file name: column, row, width and height in its pixels."""

SEEN: Final = 0
PRE_MISSING: Final = 1
POST_MISSING: Final = 2
UNREADABLE: Final = 4
"""The block of a file that should show the pixel is damaged."""
OUTSIDE: Final = 8
"""The pixel is not in the area of interest."""

_AT_ONCE = 8
_COMPRESSION = 1
_KEY_DIGITS = 32


@dataclass(frozen=True, eq=False)
class Block:
    """One window's probabilities, in steps of :mod:`siamese.model.rounding`, and its unknown pixels.

    Attributes:
        building: ``(h, w)`` steps of the probability of being building.
        damage: ``(3, h, w)`` steps of damage; 0 where the building probability is too low for any pixel to become one.
        unseen: ``(h, w)`` 0 where both dates show the ground, else the sum of PRE_MISSING, POST_MISSING, UNREADABLE
            and OUTSIDE.
        reasons: ``(h, w)`` why the pixel is unknown, a :class:`siamese.mapping.reasons.Reason`.
        kept: ``(h, w)`` 1 where damage is kept whatever the building probability: under footprints; None for nowhere.
    """

    building: Bytes
    damage: Bytes
    unseen: Bytes
    reasons: Codes
    kept: Bytes | None = None

    @classmethod
    def of(
        cls,
        found: Probabilities,
        unseen: Bytes,
        decision: Decision,
        reasons: Codes | None = None,
        kept: npt.NDArray[np.bool_] | None = None,
    ) -> Self:
        """Rounds a network's probabilities for a window.

        Args:
            found: What the network predicted.
            unseen: As in the attribute.
            decision: Decides where damage is kept.
            reasons: As in the attribute; by default those of unseen pixels.
            kept: ``(h, w)`` where damage is kept in any case.
        """
        scale = building_scale(decision)
        building = scale.encode(found.building)
        wanted = scale.decode(building) >= np.float32(damage_from(decision))
        mask = kept if kept is not None and kept.any() else None
        likely = np.flatnonzero(wanted if mask is None else wanted | mask)
        damage = np.zeros((3, building.size), np.uint8)
        damage[:, likely] = encode_damage(found.damage.reshape(4, -1).take(likely, axis=1))
        codes = missing_reasons(unseen) if reasons is None else reasons
        stored = None if mask is None else mask.astype(np.uint8)
        return cls(building, damage.reshape(3, *building.shape), unseen, codes, stored)

    @classmethod
    def unknown(cls, unseen: Bytes, reasons: Codes | None = None) -> Self:
        """Returns the block of a window in which no pixel can be judged."""
        codes = missing_reasons(unseen) if reasons is None else reasons
        return cls(np.zeros(unseen.shape, np.uint8), np.zeros((3, *unseen.shape), np.uint8), unseen, codes)

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Self:
        """Reads a block from the bytes that :meth:`to_bytes` returns.

        Raises:
            SiameseError: The bytes are not a block.
        """
        try:
            arrays = load(zlib.decompress(data))
            building, unseen = arrays["building"], arrays["unseen"]
            if "reasons" not in arrays:
                # Before there were reasons, networks were also asked about what they could not see.
                building = np.where(unseen > 0, np.uint8(0), building)
                arrays["reasons"] = missing_reasons(unseen)
            return cls(building, arrays["damage"], unseen, arrays["reasons"], arrays.get("kept"))
        except (zlib.error, SafetensorError, KeyError) as error:
            raise SiameseError("is not a block of a prediction", where=where, fix="map again") from error

    def to_bytes(self) -> bytes:
        """Serializes the block as zlib-compressed safetensors; equal blocks give equal bytes."""
        arrays = {"building": self.building, "damage": self.damage, "unseen": self.unseen, "reasons": self.reasons}
        if self.kept is not None:
            arrays["kept"] = self.kept
        return zlib.compress(save(arrays), _COMPRESSION)

    def probabilities(self, rows: slice, cols: slice, decision: Decision) -> npt.NDArray[np.float32]:
        """Returns part of the block as ``(6, h, w)``: building, four damage classes, 1 where these are kept, else 0."""
        building = building_scale(decision).decode(self.building[rows, cols])
        likely = building >= np.float32(damage_from(decision))
        if self.kept is not None:
            likely |= self.kept[rows, cols] > 0
        out = np.zeros((6, *building.shape), np.float32)
        out[0], out[5] = building, likely
        out[1:5, likely] = decode_damage(self.damage[:, rows, cols][:, likely])
        return out


def missing_reasons(unseen: Bytes) -> Codes:
    """Returns the reasons of pixels that were not seen, from their bits."""
    codes = np.where(unseen & (PRE_MISSING | POST_MISSING), np.uint8(Reason.ONE_DATE), np.uint8(0))
    both = (unseen & PRE_MISSING > 0) & (unseen & POST_MISSING > 0)
    codes = np.where(both, np.uint8(Reason.NO_DATA), codes)
    codes = np.where(unseen & UNREADABLE > 0, np.uint8(Reason.UNREADABLE), codes)
    return np.where(unseen & OUTSIDE > 0, np.uint8(Reason.OUTSIDE), codes).astype(np.uint8)


class KeptBlock(BaseModel):
    """A block on the shelf; as a small object beside it, this lets a later run find it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: Blob
    torn: Torn = {}
    """The damaged blocks of files that were met when it was predicted."""


class BlockShelf:
    """Blocks on object storage, each under the identity of its inputs; any number of workers may add blocks.

    A block's folder is named after its key, the object in it after its content; the record is written last, once.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def find(self, key: str) -> KeptBlock | None:
        """Returns the finished block of a key; None if there is none or it is no longer complete."""
        record = self._folder(key) / "record.json"
        if self._store.head(record) is None:
            return None
        try:
            found = KeptBlock.model_validate_json(self._store.get(record))
        except ValidationError:
            return None
        return found if self._whole(found.data) else None

    def find_all(self, keys: list[str]) -> dict[str, KeptBlock]:
        """Returns the finished blocks among these keys, by key."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = zip(keys, pool.map(self.find, keys), strict=True)
            return {key: kept for key, kept in found if kept is not None}

    def keep(self, key: str, block: Block, torn: Torn | None = None) -> KeptBlock:
        """Stores a block.

        Args:
            key: Its identity.
            block: The block.
            torn: The damaged blocks of files that were met when it was predicted.

        Returns:
            The block that readers will see: this one, or that of the worker that stored it first.
        """
        folder = self._folder(key)
        kept = KeptBlock(data=put_blob(self._store, folder, "block.safetensors.z", block.to_bytes()), torn=torn or {})
        record = json.dumps(kept.model_dump(), indent=1).encode()
        try:
            self._store.put(folder / "record.json", record, if_absent=True, content_type="application/json")
        except RaceLostError:
            if first := self.find(key):
                return first
            self._store.put(folder / "record.json", record, content_type="application/json")
        return kept

    def read(self, block: PredictedBlock) -> Block:
        """Reads a published block and checks it against its sha256."""
        if block.data is None:
            return Block.unknown(np.full((block.height, block.width), block.unseen, np.uint8))
        return Block.from_bytes(block.data.read(self._store), block.data.uri)

    def _folder(self, key: str) -> S3Uri:
        return self._store.lake / Prediction.kind / "blocks" / key

    def _whole(self, blob: Blob) -> bool:
        info = self._store.head(S3Uri.parse(blob.uri))
        return info is not None and (info.size, info.sha256) == (blob.size, blob.sha256)


def block_key(parts: dict[str, object]) -> str:
    """Returns the identity of a block: a hash of everything that determines its content."""
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
