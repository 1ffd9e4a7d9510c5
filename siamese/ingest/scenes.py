"""Turns one scene's files into one row of the catalog, with every check and the reasons for quarantine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Literal

from siamese.errors import SiameseError, TransientError
from siamese.geo import Header, RangedFile, decode_image, read_header
from siamese.geo.georeference import Georeference, Unplaced
from siamese.geo.sidecars import MOST_BYTES
from siamese.ingest.archives import zipped_bytes
from siamese.ingest.catalog import InventoryEntry, ObjectRef, Scene
from siamese.ingest.georeference import from_image, from_label
from siamese.ingest.inventory import Group
from siamese.ingest.labels import Label, parse_label
from siamese.ingest.tar import ArchiveError
from siamese.params import IngestParams
from siamese.store import ObjectStore, S3Uri

_HEAVY_BYTES: Final = 32 * 2**20
_HEAVY_LABEL_BYTES: Final = 4 * 2**20
_HEAVY_PX: Final = 4096**2
_MOST_COPIES: Final = 4
_PEEK_BYTES: Final = 4 * 2**20
"""For larger images only the header is read first."""
_DATES: Final[tuple[Literal["pre", "post"], ...]] = ("pre", "post")


class _RefusedError(Exception):
    """Raised with the reason why a scene is quarantined."""


@dataclass(frozen=True)
class _File:
    """A file's bytes and their location."""

    entry: InventoryEntry
    ref: ObjectRef
    data: bytes


@dataclass(frozen=True)
class _Image:
    """The properties of an image that are kept after decoding."""

    ref: ObjectRef
    width: int
    height: int
    bands: int
    georeference: Georeference | None


class Examiner:
    """Reads and validates scenes; safe to share between threads."""

    def __init__(self, store: ObjectStore, params: IngestParams) -> None:
        self._store, self._params = store, params
        # Only one large file at a time, so that memory is bounded by the largest file and not by the number of threads.
        self._one_heavy = threading.RLock()

    def examine(self, group: Group) -> Scene:
        """Reads all files of a scene and returns its row with the verdict.

        Raises:
            SiameseError: Storage failed; problems of the files themselves are recorded in the row.
        """
        blank = Scene(
            scene=group.scene,
            disaster="" if _is_stray(group) else group.scene.rsplit("_", 1)[0],
            verdict="quarantined",
            official_split=next((entry.split for entry in group.entries if entry.split), None),
            identity=identity(group),
        )
        reasons = tuple(_structure(group))
        if reasons:
            return blank.model_copy(update={"reasons": reasons})
        return self._read(blank, group)

    def _read(self, blank: Scene, group: Group) -> Scene:
        reasons: list[str] = []
        notes: list[str] = []
        images: dict[str, _Image] = {}
        labels: dict[str, tuple[ObjectRef, Label]] = {}
        roles = {entry.role for entry in group.entries}
        for date in _DATES:
            try:
                with self._heavy(max(entry.length for entry in group.entries) > _HEAVY_BYTES):
                    images[date] = self._image(group, f"{date}_image", notes)
                    if f"{date}_label" in roles:
                        labels[date] = self._label(group, date, images[date], notes)
            except _RefusedError as reason:
                reasons.append(str(reason))
        reasons += _compare(images, {date: label for date, (_, label) in labels.items()})
        if reasons:
            return blank.model_copy(update={"reasons": tuple(reasons), "notes": tuple(notes)})
        return _row(blank, images, labels, notes, self._params)

    def _image(self, group: Group, role: str, notes: list[str]) -> _Image:
        first = next(entry for entry in group.entries if entry.role == role)
        if first.packed is None and _PEEK_BYTES < first.length <= self._params.max_image_mib * 2**20:
            self._header(role, first, RangedFile(self._reader(first), first.length))
        file = self._file(group, role, self._params.max_image_mib, notes)
        header = self._header(role, file.entry, file.data)
        try:
            with self._heavy(header.width * header.height > _HEAVY_PX):
                image = decode_image(file.data, "", max_side_px=self._params.max_side_px)
        except Exception as error:
            raise _refused(role, file.entry, error) from error
        if image.values.note:
            notes.append(f"{_word(role)}: {image.values.note}")
        size = header.width, header.height
        return _Image(file.ref, *size, header.bands, self._place(group, role, file, size, notes))

    def _header(self, role: str, entry: InventoryEntry, source: bytes | RangedFile) -> Header:
        """Reads an image's header, so that most problems are found before the image is read."""
        try:
            header = read_header(source, "")
        except TransientError:
            raise
        except Exception as error:
            raise _refused(role, entry, error) from error
        if header.bands not in self._params.bands:
            allowed = " or ".join(map(str, self._params.bands))
            raise _RefusedError(f"{_said(role, entry)}: has {header.bands} bands, not {allowed}")
        most = self._params.max_side_px
        if not (0 < header.width <= most and 0 < header.height <= most):
            what = f"is {header.width} x {header.height} px, more than {most} px a side"
            raise _RefusedError(f"{_said(role, entry)}: {what}")
        return header

    def _reader(self, entry: InventoryEntry) -> Callable[[int, int], bytes]:
        uri, version, offset = S3Uri.parse(entry.uri), entry.version_id, entry.start
        return lambda start, length: self._store.get(uri, version_id=version, start=offset + start, length=length)

    def _place(
        self, group: Group, role: str, file: _File, size: tuple[int, int], notes: list[str]
    ) -> Georeference | None:
        """Returns an image's georeference; a note explains why a damaged or incomplete one is not used."""
        date = role.removesuffix("_image")
        try:
            found = from_image(file.data, _base(file.entry), self._sidecars(group, date), self._params.crs)
        except SiameseError as error:
            notes.append(f"{_said(role, file.entry)}: georeference not used: {error.where}: {error.what}")
            return None
        if isinstance(found, Unplaced):
            if found.meant:
                notes.append(f"{_said(role, file.entry)}: {found.why}; {found.fix}")
            return None
        if found.bounds(*size) is None:
            notes.append(f"{_said(role, file.entry)}: georeference not used: it lies off the globe")
            return None
        return found

    def _sidecars(self, group: Group, date: str) -> dict[str, bytes]:
        entries = [entry for entry in group.entries if entry.role == f"{date}_sidecar" and entry.length <= MOST_BYTES]
        return {_base(entry): self._fetch(entry).data for entry in entries}

    def _label(
        self, group: Group, date: Literal["pre", "post"], image: _Image, notes: list[str]
    ) -> tuple[ObjectRef, Label]:
        role = f"{date}_label"
        file = self._file(group, role, self._params.max_label_mib, notes)
        try:
            with self._heavy(len(file.data) > _HEAVY_LABEL_BYTES):
                label = parse_label(
                    file.data,
                    "",
                    width=image.width,
                    height=image.height,
                    max_vertices=self._params.max_vertices,
                    date=date,
                    tolerance_px=self._params.outside_px,
                )
        except Exception as error:
            raise _refused(role, file.entry, error) from error
        if label.metadata.img_name.rsplit(".", 1)[0] != f"{group.scene}_{date}_disaster":
            said = label.metadata.img_name[:60]
            raise _RefusedError(f"{_said(role, file.entry)}: metadata.img_name is {said!r}, of another image")
        repaired = sum(building.repaired for building in label.buildings)
        if repaired:
            notes.append(f"{date} label: {repaired} polygons crossed themselves and were made valid")
        return file.ref, label

    def _file(self, group: Group, role: str, limit_mib: int, notes: list[str]) -> _File:
        entries = [entry for entry in group.entries if entry.role == role]
        names = ", ".join(entry.name for entry in entries[:_MOST_COPIES])
        if len(entries) > _MOST_COPIES:
            raise _RefusedError(f"{_word(role)} is held {len(entries)} times: {names}, …")
        if max(entry.length for entry in entries) > limit_mib * 2**20:
            raise _RefusedError(f"{_word(role)} {names}: is larger than {limit_mib} MiB")
        if len({entry.length for entry in entries}) > 1:
            raise _RefusedError(f"{_word(role)} is held {len(entries)} times with different bytes: {names}")
        first = self._fetch(entries[0])
        if any(self._fetch(entry).ref.sha256 != first.ref.sha256 for entry in entries[1:]):
            raise _RefusedError(f"{_word(role)} is held {len(entries)} times with different bytes: {names}")
        if len(entries) > 1:
            notes.append(f"{_word(role)} is held {len(entries)} times, byte for byte the same: {names}")
        return first

    def _fetch(self, entry: InventoryEntry) -> _File:
        uri, start = S3Uri.parse(entry.uri), entry.start

        def read(first: int, count: int) -> bytes:
            return self._store.get(uri, version_id=entry.version_id, start=first, length=count)

        if entry.packed is None:
            data = read(start, entry.length)
        else:
            try:
                start, data = zipped_bytes(entry, read)
            except ArchiveError as error:
                raise _RefusedError(f"{_said(entry.role, entry)}: {error}") from error
        digest = hashlib.sha256(data).hexdigest()
        if len(data) != entry.length or entry.sha256 not in (None, digest):
            raise SiameseError("changed while it was read", where=entry.uri, fix="ingest again")
        ref = ObjectRef(
            uri=entry.uri,
            version_id=entry.version_id,
            start=start,
            length=entry.length,
            sha256=digest,
            deflated=entry.packed if entry.method == "deflated" else None,
        )
        return _File(entry, ref, data)

    def _heavy(self, heavy: bool) -> AbstractContextManager[object]:
        return self._one_heavy if heavy else nullcontext()


def identity(group: Group) -> str:
    """Returns a hash over everything that determines a row: its objects, their versions and their roles."""
    said = [
        [entry.name, entry.role, entry.reason, entry.split, entry.uri, entry.version_id, entry.etag, entry.start,
         entry.length, entry.sha256, *([] if entry.packed is None else [entry.packed, entry.method, entry.crc32])]
        for entry in group.entries
    ]  # fmt: skip
    return hashlib.sha256(json.dumps([said, group.count]).encode()).hexdigest()[:32]


def _is_stray(group: Group) -> bool:
    return any(entry.role == "quarantined" for entry in group.entries)


def _structure(group: Group) -> Iterable[str]:
    """Yields problems that are known before any file is read."""
    if _is_stray(group):
        yield from dict.fromkeys(entry.reason or "" for entry in group.entries if entry.role == "quarantined")
        return
    if group.count > len(group.entries):
        yield f"holds {group.count} files"
    splits = sorted({entry.split for entry in group.entries if entry.split})
    if len(splits) > 1:
        yield f"lies in more than one official split: {', '.join(splits)}"
    roles = {entry.role for entry in group.entries}
    labels = ("pre_label", "post_label") if roles & {"pre_label", "post_label"} else ()
    wanted = ("pre_image", "post_image", *labels)
    for role in wanted:
        if role not in roles:
            yield f"{_word(role)} is missing"


def _compare(images: dict[str, _Image], labels: dict[str, Label]) -> Iterable[str]:
    if len(images) == 2:
        pre, post = images["pre"], images["post"]
        if (pre.width, pre.height) != (post.width, post.height):
            yield f"pre image is {pre.width} x {pre.height} px, post image {post.width} x {post.height} px"
        if pre.ref.sha256 == post.ref.sha256:
            yield "pre and post image are the same, byte for byte"
    if len(labels) == 2:
        before, after = ({building.uid for building in labels[date].buildings} for date in _DATES)
        if before != after:
            example = min(before ^ after)[:60]
            yield (
                f"uids differ between the labels: {len(before - after)} only in the pre label, "
                f"{len(after - before)} only in the post label, such as {example}"
            )


def _row(
    blank: Scene,
    images: dict[str, _Image],
    labels: dict[str, tuple[ObjectRef, Label]],
    notes: list[str],
    params: IngestParams,
) -> Scene:
    pre, post = images["pre"], images["post"]
    found: dict[str, object] = {
        "verdict": "accepted" if labels else "unlabelled",
        "pre_image": pre.ref,
        "post_image": post.ref,
        "width": pre.width,
        "height": pre.height,
        "bands": pre.bands,
        "post_bands": post.bands,
    }
    place = pre.georeference or post.georeference
    if labels:
        (pre_ref, before), (post_ref, after) = labels["pre"], labels["post"]
        place = place or from_label(before, pre.width, pre.height)
        found |= {
            "pre_label": pre_ref,
            "post_label": post_ref,
            "disaster_type": after.metadata.disaster_type,
            "gsd_m": after.metadata.gsd,
            "pre_date": before.metadata.capture_date,
            "post_date": after.metadata.capture_date,
            "pre_sensor": before.metadata.sensor,
            "post_sensor": after.metadata.sensor,
            "buildings": after.counts(),
        }
        dates = before.metadata.capture_date, after.metadata.capture_date
        if all(dates) and str(dates[0]) > str(dates[1]):
            notes.append(f"the pre image is of {dates[0]}, after the post image of {dates[1]}; are they swapped?")
    if place and place.residual_px is not None:
        found["residual_px"] = place.residual_px
        if place.residual_px > params.max_residual_px:
            off = f"{place.residual_px:.3g} px"
            what = (
                "its control points and a straight fit" if place.source == "gcps" else "the label's pixels and degrees"
            )
            notes.append(f"georeference not used: {what} disagree by {off}")
            place = None
    if place:
        found |= {
            "pixel_m": place.pixel_m(pre.width, pre.height),
            "crs": place.crs,
            "transform": tuple(place.transform)[:6],
            "georeference": place.source,
            "bounds": place.bounds(pre.width, pre.height),
        }
    return blank.model_copy(update={**found, "notes": tuple(notes)})


def _word(role: str) -> str:
    return role.replace("_", " ")


def _refused(role: str, entry: InventoryEntry, error: Exception) -> _RefusedError:
    # No content, however strange, may end the run, so even an unforeseen error affects this scene only.
    what = error.what if isinstance(error, SiameseError) else f"unexpected {type(error).__name__}: {error}"
    return _RefusedError(f"{_said(role, entry)}: {what}")


def _base(entry: InventoryEntry) -> str:
    """Returns the file's own name, without folders and archive."""
    return entry.name.rsplit(":", 1)[-1].rsplit("/", 1)[-1]


def _said(role: str, entry: InventoryEntry) -> str:
    return f"{_word(role)} {entry.name}"
