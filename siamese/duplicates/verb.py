"""The verb ``duplicates``: finds images that are changed copies of each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from siamese.duplicates.fingerprint import Fingerprint, fingerprint
from siamese.duplicates.kept import described, images_of_catalog, read_kept
from siamese.duplicates.sheet import draw_sheet
from siamese.duplicates.sources import ImageFile, decode, sha256
from siamese.duplicates.stage import DUPLICATES, FINGERPRINTS
from siamese.duplicates.tables import read_groups, read_pairs, write_groups, write_pairs
from siamese.duplicates.twins import ImageName, TwinPair, find_pairs, group
from siamese.errors import SiameseError, TransientError
from siamese.manifests import Duplicates, SceneCatalog
from siamese.progress import progress
from siamese.store import ObjectStore, put_blob


@dataclass(frozen=True)
class Found:
    """The twins among some images."""

    images: int
    """Images that were compared."""
    pairs: tuple[TwinPair, ...]
    groups: tuple[tuple[str, ...], ...]
    """Scenes that are twins of each other; images that belong to no scene stand for themselves."""
    unreadable: dict[str, str]
    """Images that could not be compared, each with the reason."""
    sheet: bytes | None
    """PNG of the least certain pairs; None without any."""

    def write(self, folder: Path) -> None:
        """Writes ``pairs.csv``, ``groups.csv`` and, if there are twins, ``sheet.png`` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pairs.csv").write_bytes(write_pairs(self.pairs))
        (folder / "groups.csv").write_bytes(write_groups(self.groups))
        if self.sheet:
            (folder / "sheet.png").write_bytes(self.sheet)


def read_found(duplicates: Duplicates, store: ObjectStore) -> Found:
    """Reads a published result.

    Raises:
        SiameseError: An object is missing or differs from what was published.
    """
    pairs = read_pairs(duplicates.pairs.read(store))
    sheet = duplicates.sheet.read(store) if duplicates.sheet else None
    return Found(duplicates.images, pairs, group(pairs), duplicates.unreadable, sheet)


def duplicates_of_files(files: Iterable[ImageFile]) -> Found:
    """Finds the twins among images of a folder or prefix.

    Args:
        files: The images.

    Returns:
        The twins; images that cannot be read are listed with the reason.

    Raises:
        TransientError: Storage does not answer.
    """
    names: list[ImageName] = []
    prints: dict[str, Fingerprint] = {}
    unreadable: dict[str, str] = {}
    with progress("fingerprints", None) as advance:
        for file in files:
            try:
                data = file.read()
                name = ImageName(name=file.name, scene=file.scene, date=file.date, sha256=sha256(data))
                if name.sha256 not in prints:
                    prints[name.sha256] = fingerprint(decode(data, file.name))
                names.append(name)
            except TransientError:
                raise
            except SiameseError as error:
                unreadable[file.name] = error.what
            except OSError as error:
                unreadable[file.name] = f"cannot be read: {error.strerror}"
            advance(note=file.name)
    return _found(names, prints, unreadable)


def duplicates_of_catalog(catalog: SceneCatalog, store: ObjectStore) -> Duplicates:
    """Finds the twins among the scenes of a catalog, or returns the published result.

    Accepted and unlabelled scenes are compared, each date with every other scene's dates. Images are described once;
    a later catalog of the same source describes only what is new.

    Args:
        catalog: The catalog that ``ingest`` published.
        store: Object storage to publish to.

    Returns:
        The published result.

    Raises:
        SiameseError: An image has changed since it was ingested, or published fingerprints are missing or damaged.
        TransientError: Storage does not answer.
    """
    origin = DUPLICATES.plan(inputs={"catalog": catalog}, params={})
    if done := DUPLICATES.find(store, origin):
        return done
    kept, prints = described(catalog, store)
    names = [name for name, _, _ in images_of_catalog(catalog, store) if name.sha256 in prints]
    found = _found(names, prints, kept.unreadable)
    folder = Duplicates.folder(store, origin.digest)
    return Duplicates(
        origin=origin,
        catalog=catalog.digest,
        images=found.images,
        count=len(found.pairs),
        pairs=put_blob(store, folder, "pairs.csv", write_pairs(found.pairs), "text/csv"),
        groups=put_blob(store, folder, "groups.csv", write_groups(found.groups), "text/csv"),
        sheet=put_blob(store, folder, "sheet.png", found.sheet, "image/png") if found.sheet else None,
        unreadable=found.unreadable,
    ).publish(store)


def known_twins(catalog: SceneCatalog, store: ObjectStore) -> dict[str, str] | None:
    """Returns the group of each scene of a catalog that has twins; None if nobody has looked for them yet."""
    done = DUPLICATES.find(store, DUPLICATES.plan(inputs={"catalog": catalog}, params={}))
    return None if done is None else read_groups(done.groups.read(store))


def twins_between(
    one: tuple[SceneCatalog, Iterable[str]], other: tuple[SceneCatalog, Iterable[str]], store: ObjectStore
) -> frozenset[str]:
    """Finds scenes of one catalog that have a twin among the scenes of another, from published fingerprints alone.

    Args:
        one: A catalog and names of scenes in it.
        other: Another catalog and names of scenes in it.
        store: Holds the fingerprints.

    Returns:
        Scenes of the second that have a twin among those of the first, under other names; empty if the images of
        either catalog were never described.
    """
    names: list[ImageName] = []
    prints: dict[str, Fingerprint] = {}
    for mark, (catalog, scenes) in zip("ab", (one, other), strict=True):
        kept = FINGERPRINTS.find(store, FINGERPRINTS.plan(inputs={"catalog": catalog}, params={}))
        if kept is None:
            return frozenset()
        prints |= read_kept(kept, store)
        wanted = set(scenes)
        names += [
            name.model_copy(update={"scene": f"{mark}/{name.scene}"})
            for name, _, _ in images_of_catalog(catalog, store)
            if name.scene in wanted and name.sha256 in prints
        ]
    pairs = find_pairs(names, [prints[name.sha256] for name in names])
    across = (
        {mark: scene for mark, _, scene in (image.scene.partition("/") for image in (pair.one, pair.other))}
        for pair in pairs
    )
    return frozenset(found["b"] for found in across if len(found) == 2 and found["a"] != found["b"])


def _found(names: list[ImageName], prints: Mapping[str, Fingerprint], unreadable: dict[str, str]) -> Found:
    pairs = tuple(find_pairs(names, [prints[name.sha256] for name in names]))
    sheet = draw_sheet(pairs, prints) if pairs else None
    return Found(len(names), pairs, group(pairs), unreadable, sheet)
