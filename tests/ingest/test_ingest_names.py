"""Names: what each says, and which are hostile."""

from __future__ import annotations

import pytest

from siamese.ingest.names import ArchivePart, Other, SceneFile, classify, printable, split_of_archive

STEM = "hurricane-michael_00000022"


@pytest.mark.parametrize(
    ("name", "within", "role", "split"),
    [
        (f"images/{STEM}_pre_disaster.png", "", "pre_image", None),
        (f"labels/{STEM}_post_disaster.json", "", "post_label", None),
        (f"xbd/train/images/{STEM}_post_disaster.png", "", "post_image", "train"),
        (f"tier1/images/{STEM}_post_disaster.tif", "", "post_image", "train"),
        (f"./hold/labels/{STEM}_pre_disaster.json", "", "pre_label", "hold"),
        (f"images/{STEM}_pre_disaster.TIF", "data/tier3/", "pre_image", "tier3"),
        (f"{STEM}_pre_disaster.tiff", "data/test/images/", "pre_image", "test"),
        (f"test/{STEM}_pre_disaster.png", "", "pre_image", "test"),
        (f"test/run7/images/{STEM}_pre_disaster.png", "", "pre_image", None),
    ],
)
def test_scene_files(name: str, within: str, role: str, split: str | None) -> None:
    assert classify(name, within=within) == SceneFile(STEM, role, split)


@pytest.mark.parametrize(
    ("name", "archive", "part"),
    [
        ("train.tar", "train.tar", None),
        ("a/train_images.tar.gz", "a/train_images.tar.gz", None),
        ("x.tgz", "x.tgz", None),
        ("x.tgz.part-aa", "x.tgz", "aa"),
        ("x.tar.gz.partab", "x.tar.gz", "ab"),
        ("x.tar.gz.part_01", "x.tar.gz", "01"),
        ("x.tar.001", "x.tar", "001"),
        ("x.tar.gz-aa", "x.tar.gz", "aa"),
        ("x.TAR.GZ.PART-AC", "x.TAR.GZ", "ac"),
        ("my scenes/x.zip", "my scenes/x.zip", None),
        ("x.ZIP.001", "x.ZIP", "001"),
    ],
)
def test_archives_and_their_parts(name: str, archive: str, part: str | None) -> None:
    assert classify(name) == ArchivePart(archive, part)


@pytest.mark.parametrize(
    ("name", "role", "word"),
    [
        ("../images/x_00000001_pre_disaster.png", "quarantined", "traversal"),
        ("a/../../etc/passwd", "quarantined", "traversal"),
        ("/etc/passwd", "quarantined", "traversal"),
        ("C:/x.png", "quarantined", "traversal"),
        ("a\\..\\x.png", "quarantined", "traversal"),
        ("images/a\nb.png", "quarantined", "control"),
        ("images/tile_7.png", "quarantined", "name"),
        ("images/Hurricane_00000001_pre_disaster.png", "quarantined", "name"),
        ("images/wind_0000001_pre_disaster.png", "quarantined", "name"),
        ("images/wind_00000001_during_disaster.png", "quarantined", "name"),
        ("labels/notes.json", "quarantined", "name"),
        ("wind_00000001_pre_disaster.jpg", "quarantined", "name"),
        ("train.7z", "quarantined", "archive"),
        ("train.z01", "quarantined", "archive"),
        ("train.tar.xz", "quarantined", "archive"),
        ("README.md", "ignored", "no image"),
        ("manifest.csv", "ignored", "no image"),
        ("images/", "ignored", "folder"),
        ("images/._wind_00000001_pre_disaster.png", "ignored", "desktop"),
        ("targets/wind_00000001_pre_disaster_target.png", "ignored", "target"),
        ("targets/wind_00000001_post_disaster.png", "ignored", "target"),
    ],
)
def test_everything_else_has_a_reason(name: str, role: str, word: str) -> None:
    found = classify(name)
    assert isinstance(found, Other)
    assert found.role == role
    assert word in found.reason


def test_splits_of_archives() -> None:
    assert split_of_archive("hold_images_labels_targets.tar.gz") == "hold"
    assert split_of_archive("xbd/tier3.tar") == "tier3"
    assert split_of_archive("xbd/test/images.tar") == "test"
    assert split_of_archive("testing.tar") is None


def test_any_bytes_make_a_name() -> None:
    assert printable(b"a\xff\xfe.png") == "a\\xff\\xfe.png"
    assert len(printable("x" * 5000)) == 1024
