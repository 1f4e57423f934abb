"""What users will really hand in, through the command line: a sentence that names the file and the next step, or
handled and said so; never a traceback, and nothing that was there before is lost."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from photographs import write_folder
from PIL import Image

from tutorial_lib import detectors
from tutorial_lib.cli import report as cli_report
from tutorial_lib.cli.main import main
from tutorial_lib.plots import contact

METHODS = ("--methods", "pca", "--size", "48")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("pristine"))


@pytest.fixture(autouse=True)
def quick_sheet(monkeypatch):
    """Drawing is tested elsewhere, and would be most of the time here."""
    monkeypatch.setattr(contact, "contact_sheet", lambda *_: Figure(figsize=(1, 1)))


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    """A fresh copy to damage, beside a results folder with an older result in it."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "compare_older.json").write_text("kept")
    return Path(shutil.copytree(pristine, tmp_path / "photographs"))


def compare(capsys, folder, *more) -> tuple[int, str, str]:
    argv = ["compare", "--data", str(folder), "--out", str(folder.parent / "results"), *map(str, more or METHODS)]
    code = main(argv)
    captured = capsys.readouterr()
    assert (folder.parent / "results" / "compare_older.json").read_text() == "kept"
    assert not list((folder.parent / "results").glob(".*")), "no half-written file stays behind"
    return code, captured.out, captured.err


def stored(folder) -> dict | None:
    found = [path for path in (folder.parent / "results").glob("*.json") if "older" not in path.name]
    return json.loads(found[0].read_text()) if found else None


# ---------------------------------------------------------------------------------------- what stops it, in a sentence


def empty_folder(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def no_folder(folder):
    shutil.rmtree(folder)


def misnamed_folder(folder):
    (folder / "train" / "good").rename(folder / "train" / "ok")


def no_training_image(folder):
    for path in (folder / "train" / "good").iterdir():
        path.unlink()


def one_training_image(folder):
    for path in sorted((folder / "train" / "good").iterdir())[1:]:
        path.unlink()


def no_defect_at_all(folder):
    shutil.rmtree(folder / "test" / "crack")
    shutil.rmtree(folder / "test" / "spot")


def no_good_test_image(folder):
    shutil.rmtree(folder / "test" / "good")


def corrupt_image(folder):
    path = folder / "test" / "crack" / "001.png"
    path.write_bytes(path.read_bytes()[:150])


def image_that_is_text(folder):
    (folder / "train" / "good" / "002.png").write_text("this is not a picture")


def zero_byte_image(folder):
    (folder / "test" / "good" / "007.png").write_bytes(b"")


def corrupt_mask(folder):
    (folder / "ground_truth" / "spot" / "002_mask.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")


def mask_of_another_size(folder):
    Image.new("L", (40, 48)).save(folder / "ground_truth" / "crack" / "000_mask.png")


def nan_image(folder):
    values = np.full((48, 48), np.nan, np.float32)
    Image.fromarray(values).save(folder / "test" / "spot" / "nan.tif")


STOPS = {
    empty_folder: ("photographs", "train/good"),
    no_folder: ("photographs", "does not exist"),
    misnamed_folder: ("train/good", "train/ok"),
    no_training_image: ("train/good", "normal pictures"),
    one_training_image: ("1 training image", "at least 2"),
    no_defect_at_all: ("no defective pictures", "test/scratch"),
    no_good_test_image: ("test/good", "normal pictures"),
    corrupt_image: ("crack/001.png", "again"),
    image_that_is_text: ("train/good/002.png", "remove it"),
    zero_byte_image: ("test/good/007.png", "0 bytes"),
    corrupt_mask: ("spot/002_mask.png", "again"),
    mask_of_another_size: ("crack/000_mask.png", "40 x 48"),
    nan_image: ("spot/nan.tif", "nan"),
}
each_stop = pytest.mark.parametrize("damage, words", STOPS.items(), ids=lambda part: getattr(part, "__name__", ""))


@each_stop
def test_compare_stops_with_a_sentence_before_any_training(capsys, folder, damage, words):
    damage(folder)
    code, out, err = compare(capsys, folder)
    assert code == 2
    assert all(word in err.replace("\\", "/") for word in words), err
    assert err.count("\n") == 1 and "Traceback" not in out + err
    if damage is not one_training_image:
        assert "training …" not in out
        assert stored(folder) is None


@each_stop
def test_the_doctor_finds_the_same_problem(capsys, folder, damage, words):
    damage(folder)
    assert main(["doctor", str(folder)]) == 2
    out = capsys.readouterr().out
    assert "✗" in out and "Traceback" not in out
    if damage is not one_training_image:
        assert all(word in out.replace("\\", "/") for word in words), out


def test_the_doctor_names_every_file_and_not_only_the_first(capsys, folder):
    for damage in (corrupt_image, zero_byte_image, mask_of_another_size):
        damage(folder)
    assert main(["doctor", str(folder)]) == 2
    out = capsys.readouterr().out
    assert all(name in out for name in ("001.png", "007.png", "000_mask.png")) and "3 problems" in out


def test_a_train_list_with_unknown_names_says_which(capsys, folder):
    (folder / "list.txt").write_text("000.png\nnobody.png\n")
    code, _, err = compare(capsys, folder, "--train-list", folder / "list.txt", *METHODS)
    assert code == 2 and "nobody.png" in err


# ---------------------------------------------------------------------------------------- what is handled, and said so


def black_image(folder):
    Image.new("RGB", (48, 48)).save(folder / "test" / "good" / "black.png")


def a_kind_without_pictures(folder):
    for path in (folder / "test" / "spot").iterdir():
        path.unlink()


def no_masks(folder):
    shutil.rmtree(folder / "ground_truth")


def stray_files(folder):
    for place in ("train/good", "test/crack", "ground_truth/crack"):
        (folder / place / "Thumbs.db").write_bytes(b"\0")
        (folder / place / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("hello")


HANDLED = {
    black_image: "black.png is entirely black and used as it is",
    a_kind_without_pictures: "spot holds no pictures and is left out",
    no_masks: "6 pictures are defective without a mask: in image metrics only",
    stray_files: "",
}


@pytest.mark.parametrize("change, words", HANDLED.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_what_can_be_handled_is_handled_and_said(capsys, folder, change, words):
    change(folder)
    code, out, err = compare(capsys, folder)
    assert code == 0, err
    assert words in out
    assert (stored(folder)["rows"][0]["aupro"] is None) == (change is no_masks)


def test_grey_rgba_palette_and_16_bit_copies_of_a_picture_score_the_same(capsys, folder):
    path = folder / "test" / "good" / "006.png"
    grey = Image.open(path).convert("L")
    grey.save(path)
    grey.convert("RGBA").save(path.with_name("a_rgba.png"))
    grey.convert("P").save(path.with_name("b_palette.png"))
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(path.with_name("c_16bit.png"))
    code, _, err = compare(capsys, folder)
    assert code == 0, err
    result = stored(folder)
    scores = dict(zip(result["data"][0]["paths"], result["rows"][0]["scores"], strict=True))
    same = [scores[f"test/good/{name}.png"] for name in ("006", "a_rgba", "b_palette", "c_16bit")]
    assert same == pytest.approx([same[0]] * 4, rel=1e-4)


@pytest.mark.parametrize("name", ["with spaces in it", "检测 图片", "Größe-é"])
def test_paths_with_spaces_and_other_scripts_work(capsys, folder, name):
    moved = folder.rename(folder.parent / name)
    (moved / "test" / "crack").rename(moved / "test" / "裂纹 crack")
    (moved / "ground_truth" / "crack").rename(moved / "ground_truth" / "裂纹 crack")
    (moved / "test" / "good" / "006.png").rename(moved / "test" / "good" / "图 006.png")
    code, out, err = compare(capsys, moved)
    assert code == 0, err
    assert "裂纹 crack (3)" in out and stored(moved)["data"][0]["split"] == name
    assert stored(moved)["rows"][0]["pixel_auroc"] is not None


# --------------------------------------------------------------------------------------------- a full disk, and Ctrl-C


def disk_is_full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_and_leaves_older_results_alone(capsys, folder, monkeypatch):
    monkeypatch.setattr(os, "fsync", disk_is_full)
    code, out, err = compare(capsys, folder)
    assert code == 2
    assert "could not be stored" in out and "disk is full" in err and "--out" in err and "Traceback" not in err
    assert "image AUROC" in out, "the table was on the screen before the disk failed"
    assert stored(folder) is None


def test_when_only_the_picture_does_not_fit_the_numbers_are_kept(capsys, folder, monkeypatch):
    real = cli_report.results.write

    def write(path, content, **how):
        return disk_is_full() if path.suffix == ".png" else real(path, content, **how)

    monkeypatch.setattr(cli_report.results, "write", write)
    code, _, err = compare(capsys, folder)
    assert code == 2 and "Kept what was ready (pca" in err and "disk is full" in err
    assert stored(folder)["complete"] is False and len(stored(folder)["rows"]) == 1


def test_a_folder_that_cannot_be_written_is_found_before_training(capsys, folder):
    (folder.parent / "file").write_text("in the way")
    code = main(["compare", "--data", str(folder), "--out", str(folder.parent / "file"), *METHODS])
    captured = capsys.readouterr()
    assert code == 2 and "--out" in captured.err and "training" not in captured.out


@pytest.fixture
def ctrl_c_works():
    """A shell that starts its jobs in the background has them ignore Ctrl-C; these tests need it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_training_keeps_the_rows_that_were_ready(capsys, folder, monkeypatch, how):
    monkeypatch.setattr(detectors.Mahalanobis, "_fit", lambda *_: signal.raise_signal(how))
    code, _, err = compare(capsys, folder, "--methods", "pca,mahalanobis", "--size", "48")
    assert code == 130
    assert err.count("\n") == 1 and "Kept what was ready (pca on photographs)" in err
    assert [row["method"] for row in stored(folder)["rows"]] == ["pca"] and stored(folder)["complete"] is False


def test_rows_are_on_the_disk_before_the_next_method_begins(capsys, folder, monkeypatch):
    seen = []
    monkeypatch.setattr(detectors.Mahalanobis, "_fit", lambda *_: seen.append(stored(folder)) or 1 / 0)
    code, _, err = compare(capsys, folder, "--methods", "pca,mahalanobis", "--size", "48")
    assert code == 1 and "fault of the program" in err
    assert [row["method"] for row in seen[0]["rows"]] == ["pca"] and seen[0]["complete"] is False


@pytest.mark.usefixtures("ctrl_c_works")
def test_ctrl_c_before_anything_is_ready_says_so(capsys, folder, monkeypatch):
    monkeypatch.setattr(detectors.PCA, "_fit", lambda *_: signal.raise_signal(signal.SIGINT))
    code, _, err = compare(capsys, folder)
    assert code == 130 and "nothing was stored" in err and stored(folder) is None


def command(folder, *more) -> list[str]:
    return [sys.executable, "-m", "tutorial_lib", "compare", "--data", str(folder), "--out",
            str(folder.parent / "results"), *more]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to one process exists on POSIX only")
@pytest.mark.usefixtures("ctrl_c_works")
def test_ctrl_c_stops_a_real_process_in_the_middle_of_differnet(folder):
    more = ("--methods", "pca,differnet", "--size", "128")
    with subprocess.Popen(command(folder, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("differnet: training"):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Kept what was ready (pca" in err and "Traceback" not in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
def test_a_disk_that_really_takes_no_more_bytes(folder):
    import resource

    done = subprocess.run(command(folder, *METHODS), capture_output=True, text=True, timeout=120, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert done.returncode == 2 and "disk is full" in done.stderr and "Traceback" not in done.stderr
    assert {path.suffix for path in (folder.parent / "results").iterdir()} == {".json"}, "no picture, no part"
    assert stored(folder)["complete"] is False, "the numbers, which are small, still went in"
