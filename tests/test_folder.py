"""Folders of photographs: what the reader takes, what it refuses, and that every refusal names file and next step."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.data import DataError, ImageFiles, factory, folder

GREY = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (8, 1))            # (8, 16): a ramp, so that turns show


def save(path: Path, picture=GREY, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)
    return path


@pytest.fixture
def home(tmp_path):
    """A small data folder whose name holds a space and Chinese characters."""
    home = tmp_path / "磁砖 set 1"
    for name in ("a.png", "b.png", "c.png"):
        save(home / "train/good" / name)
    save(home / "test/good/g.png")
    for name in ("s1.png", "s2.png"):
        save(home / "test/scratch" / name, GREY[:, ::-1].copy())
    save(home / "test/破损/p 1.png")
    mark = np.zeros((8, 16), np.uint8)
    mark[2:4, 3:9] = 255
    save(home / "ground_truth/scratch/s1_mask.png", mark)
    save(home / "ground_truth/scratch/s2.png", np.zeros((8, 16), np.uint8))
    save(home / "ground_truth/破损/p 1_mask.png", mark)
    return home


def test_reads_the_layout_and_labels_by_folder(home):
    split = folder.read(home)
    assert split.name == "磁砖 set 1" and len(split.train) == 3
    assert split.kinds == ["good", "scratch", "scratch", "破损"]
    assert split.labels.tolist() == [False, True, True, True]
    assert split.paths == ["test/good/g.png", "test/scratch/s1.png", "test/scratch/s2.png", "test/破损/p 1.png"]
    assert [int(mask.sum()) for mask in split.masks] == [0, 12, 0, 12]   # s2: an empty mask, and still defective
    assert split.has_mask.all() and all(mask.dtype == torch.bool for mask in split.masks)
    assert torch.equal(split.test[0], torch.from_numpy(GREY).float().expand(3, 8, 16) / 255)


def test_an_index_opens_no_picture(home, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *a, **k: pytest.fail("a picture was opened"))
    split = folder.read(home)
    assert len(split.test[1:3]) == 2 and isinstance(split.test[1:3], ImageFiles) and len(split.masks[:2]) == 2


def test_passes_over_what_is_not_a_picture(home):
    (home / "train/good/notes.txt").write_text("x")
    (home / "train/good/.hidden.png").write_bytes(b"x")
    (home / "train/good/._a.png").write_bytes(b"x")
    (home / "train/good/folder.png").mkdir()
    (home / "test/.DS_Store").write_bytes(b"x")
    (home / "test/readme.md").write_text("x")
    (home / "test/.cache").mkdir()
    save(home / "train/good/UPPER.PNG")
    save(home / "train/good/d.JPeG")
    assert [path.name for path in folder.read(home).train.paths] == ["UPPER.PNG", "a.png", "b.png", "c.png", "d.JPeG"]


def test_a_mask_may_have_another_extension_and_either_name(home):
    (home / "ground_truth/scratch/s1_mask.png").rename(home / "ground_truth/scratch/s1_mask.PNG")
    save(home / "ground_truth/scratch/s2.bmp", np.full((8, 16), 255, np.uint8))
    (home / "ground_truth/scratch/s2.png").unlink()
    assert [int(mask.sum()) for mask in folder.read(home).masks] == [0, 12, 128, 12]


def test_a_defect_without_a_mask_has_no_pixel_truth(home):
    (home / "ground_truth/scratch/s2.png").unlink()
    split = folder.read(home)
    assert split.has_mask.tolist() == [True, True, False, True] and split.labels[2]
    with pytest.raises(DataError, match=r"s2\.png is defective and has no mask.*has_mask"):
        split.masks[2]
    assert split.fingerprint()


def test_no_ground_truth_at_all_is_allowed(home):
    for file in sorted((home / "ground_truth").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert folder.read(home).has_mask.tolist() == [True, False, False, False]


def test_masks_that_fit_no_picture_are_mentioned(home):
    for old, new in (("s1_mask.png", "x1.png"), ("s2.png", "x2.png")):
        (home / "ground_truth/scratch" / old).rename(home / "ground_truth/scratch" / new)
    with pytest.warns(UserWarning, match=r"scratch belongs to a picture. Expected names such as s1\.png"):
        assert folder.read(home).has_mask.tolist() == [True, False, False, True]


def test_an_empty_kind_is_mentioned_and_left_out(home):
    (home / "test/dent").mkdir()
    with pytest.warns(UserWarning, match="dent holds no pictures and is left out"):
        assert "dent" not in folder.read(home).kinds


def test_a_category_picks_a_folder(home):
    root = home.parent
    assert folder.categories(root) == [home.name]
    assert folder.read(root).name == folder.read(root, category=home.name).name == home.name   # the only one
    save(root / "bottle/train/good/a.png")
    with pytest.raises(DataError, match=r"several categories: bottle, .*category='bottle'"):
        folder.read(root)
    with pytest.raises(DataError, match="Did you mean 'bottle'"):
        folder.read(root, category="botle")


def test_train_list_moves_all_other_normal_pictures_to_the_test_set(home, tmp_path):
    listing = tmp_path / "名单 1.txt"
    listing.write_text("\ufeff# by tile\n\na.png\ntest/good/g.png\r\n", encoding="utf-8")
    split = folder.read(home, train_list=listing)
    assert [path.name for path in split.train.paths] == ["a.png", "g.png"]
    assert split.paths[:2] == ["train/good/b.png", "train/good/c.png"]
    assert split.kinds[:3] == ["good", "good", "scratch"] and not split.labels[:2].any() and split.labels[2:].all()
    assert [int(mask.sum()) for mask in split.masks] == [0, 0, 12, 0, 12]
    assert split.name == "磁砖 set 1 (名单 1)" and split.fingerprint() != folder.read(home).fingerprint()


@pytest.mark.parametrize(("text", "words"), [
    ("", "names no pictures"), ("a.png\nz.png\ny.png\n", r"2 of 3 entries were not found.*'z\.png'"),
    ("a.png\nb.png\nc.png\ng.png\n", "good holds no pictures.*Move a fifth"), ("s1.png\n", "not found in train/good"),
])
def test_a_train_list_that_cannot_be_used(home, tmp_path, text, words):
    listing = tmp_path / "list.txt"
    listing.write_text(text)
    with pytest.raises(DataError, match=words):
        folder.read(home, train_list=listing)


def test_a_train_list_must_say_which_of_two_equal_names(home, tmp_path):
    save(home / "test/good/a.png")
    listing = tmp_path / "list.txt"
    listing.write_text("a.png\n")
    with pytest.raises(DataError, match=r"'a\.png' is in train/good and in test/good.*train/good/a\.png"):
        folder.read(home, train_list=listing)
    listing.write_text("./train\\good\\a.png\n")
    assert len(folder.read(home, train_list=listing).train) == 1


def test_a_train_list_that_is_not_text(home, tmp_path):
    with pytest.raises(DataError, match=r"missing\.txt cannot be read"):
        folder.read(home, train_list=tmp_path / "missing.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(DataError, match=r"bytes\.txt cannot be read as a list.*UTF-8"):
        folder.read(home, train_list=tmp_path / "bytes.txt")


def drop(*parts):
    def damage(home):
        for part in parts:
            (home / part).rename(home.parent / part.replace("/", "-"))
    return damage


def empty(part):
    def damage(home):
        for file in (home / part).iterdir():
            file.unlink()
    return damage


@pytest.mark.parametrize(("damage", "words"), [
    (drop("train"), r"no folder train/good.*Expected train/good.*Found: ground_truth.*test/good"),
    (drop("train/good"), "no folder train/good"), (drop("test"), "no folder test"),
    (drop("test/good"), r"good holds no pictures.*false alarm"), (empty("test/good"), "good holds no pictures"),
    (empty("train/good"), r"good holds no pictures \(\.png"),
    (drop("test/scratch", "test/破损"), "no defective pictures"),
    (lambda home: (home / "train").rename(home / "Training"), r"no folder train/good.*Training/good"),
])
def test_a_folder_that_does_not_fit_gets_a_sentence(home, damage, words):
    damage(home)
    with pytest.raises(DataError, match=words) as error:
        folder.read(home)
    assert str(home) in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_root_that_is_no_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        folder.read(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"f\.png is a file"):
        folder.read(save(tmp_path / "f.png"))
    with pytest.raises(DataError, match="Found: no folders"):
        folder.read(tmp_path)


def test_a_mask_of_another_size_is_refused(home):
    save(home / "ground_truth/scratch/s1_mask.png", np.zeros((4, 8), np.uint8))
    with pytest.raises(DataError, match=r"s1_mask\.png: the mask is 8 x 4 px, its picture s1\.png is 16 x 8 px"):
        folder.read(home).masks[1]


@pytest.mark.parametrize(("content", "words"), [
    (b"", r"empty \(0 bytes\)"), (b"not a picture at all", "cannot be opened"), (b"\x93NUMPY" + bytes(99), "opened"),
    (None, "cannot be opened: No such file"), ("cut", "damaged and cannot be decoded"),
])
def test_a_damaged_picture_is_named_when_it_is_read(home, content, words):
    path = home / "train/good/b.png"
    whole = save(path, np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).read_bytes()
    split = folder.read(home)
    path.unlink()
    if content is not None:
        path.write_bytes(whole[:len(whole) // 2] if content == "cut" else content)
    with pytest.raises(DataError, match=words) as error:
        split.train[1]
    assert str(path) in str(error.value)
    assert split.train[0].shape == (3, 8, 16)       # the others are fine


def test_a_vanished_file_has_no_fingerprint(home):
    split = folder.read(home)
    (home / "test/good/g.png").unlink()
    with pytest.raises(DataError, match=r"g\.png cannot be read"):
        split.fingerprint()


def test_fingerprint_follows_contents_not_names_or_places(home, tmp_path):
    before = folder.read(home).fingerprint()
    (home / "train/good/a.png").rename(home / "train/good/a2.png")
    moved = home.rename(tmp_path / "elsewhere")
    assert folder.read(moved).fingerprint() == before
    save(moved / "ground_truth/scratch/s2.png", np.full((8, 16), 255, np.uint8))
    masked = folder.read(moved).fingerprint()
    save(moved / "train/good/a2.png", 255 - GREY)
    assert len({before, masked, folder.read(moved).fingerprint()}) == 3


def test_a_split_must_have_one_entry_per_test_image():
    split = factory.split("metal", size=16, n_train=1, n_good=1, n_per_kind=1)
    with pytest.raises(ValueError, match=r"5 test images but \{'kinds': 4\}"):
        type(split)(split.name, split.train, split.test, split.labels, split.kinds[1:], split.masks)


@pytest.fixture(scope="module")
def tiles():
    root = Path(os.environ.get("MTD_DIR", Path(__file__).parents[2] / "shared/data/mtd"))
    if not (root / "train").is_dir():
        pytest.skip("the magnetic tile photographs are not here; set MTD_DIR to their folder")
    return root


def test_the_magnetic_tiles_are_read_whole(tiles):
    split = folder.read(tiles)
    kinds = {kind: split.kinds.count(kind) for kind in dict.fromkeys(split.kinds)}
    assert len(split.train) == 761
    assert kinds == {"good": 191, "blowhole": 115, "break": 85, "crack": 57, "fray": 32, "uneven": 103}
    assert split.has_mask.all()
    for index in (0, 200, 400, len(split.test) - 1):
        assert split.test[index].shape[1:] == split.masks[index].shape and split.test[index].std() > 0
    empty = split.paths.index("test/uneven/exp3_num_45042.jpg")
    assert split.labels[empty] and not split.masks[empty].any()


def test_the_magnetic_tiles_split_by_tile(tiles):
    split = folder.read(tiles, train_list=tiles / "train_by_tile.txt")
    assert len(split.train) == 705 and split.kinds.count("good") == 247 and split.labels.sum() == 392
    assert not {path.name for path in split.train.paths} & {path.name for path in split.test.paths}
