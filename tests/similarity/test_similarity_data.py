"""Items of every kind and form: what is taken, what is refused with which reason, and how classes are split."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from madeitems import packing, write_folder

from siamese.errors import SiameseError
from siamese.manifests import ItemSet
from siamese.params import ItemsParams
from siamese.similarity.data import local_data, pack_items, read_items
from siamese.similarity.data.find import find_items
from siamese.similarity.data.items import RawItem
from siamese.similarity.data.names import stays_below
from siamese.similarity.data.splits import split_items
from siamese.store import ObjectStore


def refused(items: ItemSet, store: ObjectStore) -> dict[str, str]:
    from siamese.tables import read_csv

    table = read_csv(items.refused.read(store))
    return dict(zip(table["id"], table["reason"], strict=True))


def test_a_folder_is_packed_once_and_what_cannot_be_used_is_listed(store: ObjectStore, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", classes=8, each=4)
    (root / "empty").mkdir()
    (root / "alone").mkdir()
    (root / "alone" / "one.png").write_bytes((root / "class0" / "0.png").read_bytes())
    (root / "class0" / "notes.txt").write_text("no image")
    (root / "class1" / "torn.png").write_bytes((root / "class1" / "0.png").read_bytes()[:60])
    (root / "stray.png").write_bytes((root / "class0" / "0.png").read_bytes())
    cv2.imwrite(str(root / "class2" / "wide.jpg"), np.full((20, 40, 3), 90, np.uint8))
    items = pack_items(root, packing(), store)
    told = refused(items, store)
    assert told["empty/"] == "is an empty class"
    assert told["alone/one.png"] == "is the only item of its class; a pair needs two"
    assert told["class0/notes.txt"] == "is no PNG, JPEG or TIFF"
    assert told["stray.png"] == "lies in no subfolder, so its class is unknown"
    assert "class1/torn.png" in told
    assert (items.used, items.refused_count, items.shape) == (33, 5, (16, 16, 1))
    assert items.notes == ("images of 2 sizes were resized to 16 x 16 pixels",)
    assert items.classes == {"test": 2, "train": 4, "val": 2}
    assert pack_items(root, packing(), store) == items
    splits = [read_items(items, split, store) for split in ("train", "val", "test")]
    names = [set(part.names) for part in splits if part]
    assert sum(map(len, names)) == len(set.union(*names)) == 8
    strict = pack_items(root, packing(sizes="refuse"), store)
    assert refused(strict, store)["class2/wide.jpg"] == "is not of the usual size, 16 x 16"


def test_data_on_object_storage_are_the_same_as_local_ones(store: ObjectStore, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", classes=8, each=4)
    (root / "pairs.csv").write_text(
        "a,b,same\n"
        + "".join(f"class{n}/0.png,class{n}/1.png,1\nclass{n}/0.png,class{(n + 1) % 8}/2.png,0\n" for n in range(8))
        + "class0/0.png,../../../etc/hostname.png,1\n"
    )
    prefix = store.raw / "people"
    for path in root.rglob("*.*"):
        store.upload(path, prefix / path.relative_to(root).as_posix())
    for name in ("", "/pairs.csv"):
        with local_data(f"{prefix}{name}", store) as path:
            copied = pack_items(path, packing(), store)
        assert copied.digest == pack_items(Path(f"{root}{name}"), packing(), store).digest
        assert not path.exists()
    assert "names a file that is not there" in refused(copied, store).values()
    with pytest.raises(SiameseError, match=r"s3://.*nobody: holds no object"), local_data(f"{store.raw}/nobody", store):
        pass
    store.put(prefix / "empty.csv", b"a,b,same\n")
    with (
        pytest.raises(SiameseError, match=r"^s3://.*/empty.csv: holds no row"),
        local_data(f"{prefix}/empty.csv", store) as path,
    ):
        pack_items(path, packing(), store)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "..", "a/../../b.png", "a\\\\..\\\\b.png", "a\0.png"])
def test_names_that_leave_their_folder_are_not_followed(name: str) -> None:
    assert not stays_below(name)
    assert stays_below("class/a..b.png")


def test_a_signers_forgeries_are_the_same_as_nothing(store: ObjectStore, tmp_path: Path) -> None:
    for number in range(6):
        write_folder(tmp_path / f"made{number}", classes=2, each=3)
        (tmp_path / "data" / f"signer{number}").mkdir(parents=True)
        (tmp_path / f"made{number}" / "class0").rename(tmp_path / "data" / f"signer{number}" / "genuine")
        (tmp_path / f"made{number}" / "class1").rename(tmp_path / "data" / f"signer{number}" / "forged")
    items = read_items(pack_items(tmp_path / "data", packing(), store), None, store)
    assert items
    assert items.names == tuple(f"signer{number}" for number in range(6))
    assert items.forged.sum() == 18
    assert len(set(items.labels[items.forged])) == 18
    assert (items.labels[items.forged] < 0).all()


def test_listed_pairs_keep_what_they_say(store: ObjectStore, tmp_path: Path) -> None:
    root = write_folder(tmp_path, classes=8, each=3)
    rows = [f"class{n}/{i}.png,class{n}/{i + 1}.png,1" for n in range(8) for i in (0, 1)]
    rows += [f"class{n}/0.png,class{m}/1.png,0" for n in range(8) for m in range(8) if m != n]
    rows += ["class0/0.png,gone.png,1", "class0/0.png,class1/0.png,maybe", "class0/0.png,class0/2.png,no"]
    (root / "pairs.csv").write_text("\n".join(["a,b,same", *rows]) + "\n")
    items = pack_items(root / "pairs.csv", packing(), store)
    told = refused(items, store)
    assert told["gone.png"] == "there is no such file below the table's folder"
    assert told["line 75"] == "same is 'maybe', neither 1 nor 0"
    assert told["class0/0.png | class0/2.png"] == "is said to differ, but other pairs make both the same"
    assert any("lie across two splits" in note for note in items.notes)
    train = read_items(items, "train", store)
    assert train
    assert train.pairs
    same = [train.classes[a] == train.classes[b] for a, b in zip(train.pairs.first, train.pairs.second, strict=True)]
    assert same == train.pairs.same.tolist()


def test_series_are_padded_or_refused(store: ObjectStore, tmp_path: Path) -> None:
    lines = [
        ",".join(f"{np.sin(i * n + k):.3f}" for k in range(20 - i % 2)) + f":c{n}" for n in range(8) for i in range(4)
    ]
    lines += ["1,nan,2:c0", "1:c0", "1,x:c0"]
    (tmp_path / "a.ts").write_text("\n".join(["#x", "@problemName a", "@classLabel true 0 1", "@data", *lines]))
    items = pack_items(tmp_path / "a.ts", packing(), store)
    assert (items.item_kind, items.shape, items.used) == ("series", (1, 20), 32)
    assert items.notes == ("series of 19 to 20 steps were padded to 20",)
    assert sorted(refused(items, store).values()) == [
        "has fewer than two steps", "holds a NaN or infinity", "is no line of numbers, with channels of one length",
    ]  # fmt: skip
    strict = pack_items(tmp_path / "a.ts", packing(lengths="refuse"), store)
    assert strict.used == 16


def test_tables_and_arrays(store: ObjectStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 4)
    np.savez(tmp_path / "v.npz", x=rng.normal(size=(32, 5)), y=labels)
    np.save(tmp_path / "i.npy", rng.integers(0, 255, (32, 12, 10, 3), np.uint8))
    np.save(tmp_path / "i.labels.npy", labels)
    (tmp_path / "t.csv").write_text("text,class\n" + "\n".join(f"town {n} {i},{n}" for n in range(8) for i in range(3)))
    rows = [f"{n},{i},{n + i / 9},{'' if n == 3 and i == 0 else 1}" for n in range(8) for i in range(3)]
    (tmp_path / "n.csv").write_text("class,a,b,c\n" + "\n".join(rows))
    found = {name: pack_items(tmp_path / name, packing(), store) for name in ("v.npz", "i.npy", "t.csv", "n.csv")}
    assert {name: (items.item_kind, items.shape) for name, items in found.items()} == {
        "v.npz": ("vector", (5,)), "i.npy": ("image", (16, 16, 3)), "t.csv": ("text", (48,)), "n.csv": ("vector", (3,)),
    }  # fmt: skip
    assert found["n.csv"].refused_count == 1


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "holds no image in a subfolder"),
        ({"a/0.png": 1, "a/1.png": 1}, "holds one class that can be used"),
        ({"a/0.png": 1, "b/0.png": 1}, "holds no class of two or more items"),
        (
            {f"{c}/{i}.png": 1 for c in "abc" for i in "01"},
            "has 3 classes: 2 for validation and 2 for the test leave 0",
        ),
    ],
)
def test_too_little_gets_one_line(store: ObjectStore, tmp_path: Path, files: dict[str, int], told: str) -> None:
    (tmp_path / "data").mkdir()
    for number, name in enumerate(files):
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 255, (9, 9), np.uint8))
    with pytest.raises(SiameseError, match=told):
        pack_items(tmp_path / "data", packing(), store)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "a,b\n1,2\n", "has columns a, b"),
        ("x.csv", "text,class\n", "holds no row"),
        ("x.csv", "a,b,same\np.png,q.png,1\n", "holds no usable pair: 3 are refused, e.g. p.png"),
        ("x.ts", "1,2:a\n", "has no @data"),
        ("x.npz", "none", "not a NumPy file"),
        ("x.doc", "", "is of no known form"),
    ],
)
def test_files_of_no_use_get_one_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SiameseError, match=told):
        find_items(tmp_path / name, ItemsParams())


@given(st.integers(5, 40), st.integers(1, 4), st.integers(0, 5), st.sampled_from(["class", "group", "item"]))
def test_splits_hold_out_whole_classes_and_depend_on_the_seed_alone(
    classes: int, each: int, seed: int, split: str
) -> None:
    items = [RawItem(f"{c}/{i}", f"c{c}", b"", f"g{c % 7}") for c in range(classes) for i in range(each + 1)]
    params = ItemsParams.model_validate({"split": split, "seed": seed, "val_share": 0.2, "test_share": 0.2})
    try:
        found = split_items(items, params, "x")
    except SiameseError:
        assert classes < 6
        return
    assert found == split_items(items, params, "x")
    unit = {"class": lambda item: item.class_name, "group": lambda item: item.group, "item": lambda item: item.id}[
        split
    ]
    held: dict[str, set[str]] = {}
    for item, name in zip(items, found, strict=True):
        held.setdefault(unit(item), set()).add(name)
    assert all(len(names) == 1 for names in held.values())
    assert "train" in found
    if split != "item":
        assert {"train", "val", "test"} == set(found)
