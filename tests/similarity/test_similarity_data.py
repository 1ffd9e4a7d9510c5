"""Items of every kind and form: what is taken, what is refused with which reason, and how classes are split."""

from __future__ import annotations

import os
import tracemalloc
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
from siamese.similarity.data.decode import decode_items, fit_image
from siamese.similarity.data.find import find_items
from siamese.similarity.data.items import RawItem
from siamese.similarity.data.names import stays_below
from siamese.similarity.data.splits import split_items
from siamese.similarity.embedder import read_array, read_vector
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


def test_what_a_photo_or_a_name_does_wrong_costs_one_item_only(store: ObjectStore, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", classes=8, each=3)
    jpeg = bytearray(cv2.imencode(".jpg", np.full((16, 16), 90, np.uint8))[1].tobytes())
    at = jpeg.find(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xfd\xe8\xfd\xe8"
    (root / "class0" / "claims.jpg").write_bytes(jpeg)
    cv2.imwrite(str(root / "class0" / "void.tif"), np.full((9, 9), np.nan, np.float32))
    (root / "class0" / "closed.png").symlink_to("/proc/self/mem")
    for place in (b"class1/caf\xe9.png", b"caf\xe9/0.png", b"caf\xe9/1.png", b"caf\xe8/0.png", b"caf\xe8/1.png"):
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + place))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((root / "class1" / "0.png").read_bytes())
    items = pack_items(root, packing(), store)
    told = refused(items, store)
    assert told["class0/claims.jpg"] == "is 65000 x 65000 px, more than 20000 px a side"
    assert told["class0/void.tif"] == "holds no finite value"
    assert told["class0/closed.png"].startswith("cannot be read: ")
    found = read_items(items, None, store)
    assert found
    assert "class1/caf\\udce9.png" in found.ids
    assert {"caf\\udce8", "caf\\udce9"} <= set(found.names)


def test_whole_photos_are_not_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.integers(0, 255, (20, 20, 3), np.uint8), (1000, 1000))
    for number in range(12):
        (tmp_path / f"c{number % 4}").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"c{number % 4}" / f"{number}.bmp.png"), photo, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    found = find_items(tmp_path, packing())
    decode_items(found.kind, found.items[:1], packing())
    tracemalloc.start()
    found = find_items(tmp_path, packing())
    kept, values, _, _ = decode_items(found.kind, found.items, packing())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(kept), values.shape) == (12, (12, 16, 16, 3))
    assert peak < 6 * photo.nbytes, "the file and the image at work, not all twelve of each"


@pytest.mark.parametrize(("bands", "sizes"), [(0, "resize"), (0, "pad"), (0, "refuse"), (1, "resize"), (3, "pad")])
def test_images_are_what_they_are_when_all_are_at_hand(tmp_path: Path, bands: int, sizes: str) -> None:
    rng = np.random.default_rng(1)
    params = packing(bands=bands, sizes=sizes)
    for kinds in (("grey",), ("grey", "rgb"), ("grey", "as grey")):
        items = []
        for number in range(9):
            kind = kinds[number % len(kinds)]
            shape = (37, 53) if number < 7 else (20, 20)
            image = rng.integers(0, 255, (*shape, 3 if kind == "rgb" else 1), np.uint8)
            items.append(RawItem(str(number), "c", image.repeat(3, axis=2) if kind == "as grey" else image))
        kept, values, _, _ = decode_items("image", items, params)
        wanted = bands or (3 if "rgb" in kinds else 1)
        images = [np.asarray(item.payload) for item in kept]
        assert len(kept) == (7 if sizes == "refuse" else 9)
        np.testing.assert_array_equal(values, [fit_image(one, 16, wanted, pad=sizes == "pad") for one in images])


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


LABELS = np.arange(4) // 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "class,width\na,wide\nb,long\n", "none of 2 items can be used; .* 'wide' is no number"),
        ("a.csv", "class,width\n,1\n", "none of 1 items can be used; the first, line 2, has no class"),
        ("a.csv", "text,class\n ,a\nx, \n", "none of 2 items can be used; the first, line 2, has no text"),
        ("a.csv", "class,a\nx,1,7\n", "line 2 has more cells than the header"),
        ("a.csv", "a,b,same\n" + "x" * 5000 + ".png,b.png,1\n", "holds no usable pair: 3 are refused"),
        ("a.csv", "a,b,same\nb.png," + "x/" * 2500 + "x.png,1\n", "holds no usable pair: 3 are refused"),
        ("a.csv", "text,class\nMünchen,a\n".encode("latin-1"), "not a CSV table: 'utf-8' .* save it as CSV in UTF-8"),
        ("a.ts", "@data\n", "holds no item"),
        ("a.ts", "@data\n1,x:a\n1,2:\n", "none of 2 items can be used; the first, a.ts:2, is no line of numbers"),
        ("a.npz", {}, "has no values"),
        ("a.npz", {"x": np.zeros((0, 4)), "y": np.zeros(0)}, "holds no item"),
        ("a.npz", {"x": np.array([["a", "b"]] * 4), "y": LABELS}, "holds <U1, no numbers"),
        ("a.npz", {"x": np.zeros((4, 3)), "y": np.int64(1)}, "its labels are one value"),
        ("a.npz", {"x": np.zeros((4, 3)), "y": LABELS, "groups": np.zeros(2)}, "has 4 items and 2 groups"),
        ("a.npz", {"x": np.zeros((4, 8, 8, 0)), "y": LABELS}, r"is of shape \(4, 8, 8, 0\)"),
        ("a.npz", {"x": np.zeros((4, 8, 0, 3), np.uint8), "y": LABELS}, r"is of shape \(4, 8, 0, 3\)"),
        ("a.npz", {"x": np.full((4, 8, 8, 3), np.nan), "y": LABELS}, "the first, 0, holds no finite value"),
        ("a.npz", b"PK\x03\x04 and no more", "not a NumPy file: File is not a zip file"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'shape': (4, " + b" " * 200, "not a NumPy file"),
    ],
)  # fmt: skip
def test_data_of_which_nothing_is_usable_get_one_line(
    store: ObjectStore, tmp_path: Path, name: str, content: str | bytes | dict[str, object], told: str
) -> None:
    path = tmp_path / name
    match content:
        case str():
            path.write_text(content)
        case bytes():
            path.write_bytes(content)
        case _:
            saved(path, **content)
    with pytest.raises(SiameseError, match=told) as raised:
        pack_items(path, packing(), store)
    assert len(str(raised.value)) < 500


def test_images_without_a_finite_value_are_refused_and_the_rest_scaled_by_what_is_finite(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 4 * 64).reshape(4, 8, 8, 1)
    values[0], values[1, 0, 0], values[1, 0, 1] = np.nan, np.nan, np.inf
    found = find_items(saved(tmp_path / "a.npz", x=values, y=LABELS), ItemsParams())
    assert found.refused == [("0", "holds no finite value")]
    first, *_, last = (np.asarray(item.payload) for item in found.items)
    assert (first[0, 0, 0], first[0, 1, 0], last.max()) == (0, 255, 255)


def test_a_comma_after_every_row_changes_no_class(tmp_path: Path) -> None:
    for header in ("class,a,b", "class,a,b,"):
        (tmp_path / "a.csv").write_text(f"{header}\nx,1,2,\ny,3,4,\n")
        found = find_items(tmp_path / "a.csv", ItemsParams())
        assert [(item.class_name, np.asarray(item.payload).tolist()) for item in found.items] == [
            ("x", [1, 2]), ("y", [3, 4]),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "series"),
    [
        ("value\n1\n2\n3\n", [[1, 2, 3]]),
        ("1\n2\n3\n", [[1, 2, 3]]),
        ("5,5\n5,6\n", [[5, 5], [5, 6]]),
        ("1e3,-2,\n3,4,\n", [[1000, 3], [-2, 4]]),
        ("\ufeff1\n2\n", [[1, 2]]),
        ("id,class,a,b\nx,y,1,2\n", [[1], [2]]),
    ],
)
def test_a_series_loses_no_step_for_want_of_a_header(tmp_path: Path, text: str, series: list[list[float]]) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert read_array(tmp_path / "a.csv").tolist() == series


@pytest.mark.parametrize("text", ["1,2,3\n", "a,b,c\n1,2,3\n", "1\n2\n3\n", "class,a,b,c\nx,1,2,3\n"])
def test_a_vector_is_one_row_or_one_column(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert read_vector(tmp_path / "a.csv").tolist() == [1, 2, 3]
    (tmp_path / "a.csv").write_text(text + text.splitlines()[-1] + "\n1,2,3")
    with pytest.raises(SiameseError, match=r"more than one vector|is no series"):
        read_vector(tmp_path / "a.csv")


def test_a_file_of_no_number_is_no_series(tmp_path: Path) -> None:
    for text, told in (("a,b\n", "holds no number"), ("a\nx\n", "is no series: .*'x'"), ("", "is no series")):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(SiameseError, match=told):
            read_array(tmp_path / "a.csv")
