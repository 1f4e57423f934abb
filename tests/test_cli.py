"""The command line end to end, in this process where that is enough and as a real process where it is not."""

import contextlib
import errno
import io
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from photographs import KINDS, write_folder
from PIL import Image

from tutorial_lib import data, detectors, metrics
from tutorial_lib.cli import compare, doctor, doctor_machine, lab, machine, pictures, results, table
from tutorial_lib.cli.errors import CommandError
from tutorial_lib.cli.main import COMMANDS, main
from tutorial_lib.plots import contact


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("photographs") / "plates")


@pytest.fixture
def quick_sheet(monkeypatch):
    """For tests that look at something else: drawing would be most of their time."""
    monkeypatch.setattr(contact, "contact_sheet", lambda *_: Figure(figsize=(1, 1)))


def run(capsys, *argv) -> tuple[int, str, str]:
    code = main([str(part) for part in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def only_json(out: Path) -> dict:
    (path,) = out.glob("*.json")
    return json.loads(path.read_text())


# ------------------------------------------------------------------------------------------------------ the dispatcher


def test_help_lists_every_command(capsys):
    for argv in ([], ["--help"]):
        code, out, _ = run(capsys, *argv)
        assert code == 0
        assert all(name in out for name in COMMANDS)


WRONG = {
    "unknown command": (["compar"], "Did you mean 'compare'?"),
    "unknown option": (["compare", "--date", "x"], "--date"),
    "option without value": (["compare", "--seed"], "expected one argument"),
    "not a number": (["compare", "--seed", "many"], "invalid int value"),
    "unknown method": (["compare", "--methods", "difernet"], "Did you mean 'differnet'?"),
    "no method": (["compare", "--methods", ","], "names no method"),
    "size": (["compare", "--size", "4"], "32 to 1024"),
    "seed": (["compare", "--seed", "-1"], "0 or a positive"),
    "product": (["compare", "--category", "bolt"], "Choose from carpet, metal, washer, board, leather"),
    "one of two products": (["compare", "--category", "metal,bolt"], "makes no 'bolt'"),
    "no product": (["compare", "--category", ","], "makes no ''"),
    "list without data": (["compare", "--train-list", "x.txt"], "--data"),
    "device": (["compare", "--category", "metal", "--methods", "pca", "--device", "toaster"], "toaster"),
    "port": (["lab", "--port", "123456"], "1 to 65535"),
}


@pytest.mark.parametrize("argv, sentence", WRONG.values(), ids=WRONG)
def test_a_wrong_option_gets_one_sentence_and_exit_code_2(capsys, tmp_path, monkeypatch, argv, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare, "FACTORY", {"n_train": 2, "n_good": 2, "n_per_kind": 1})
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert sentence in err
    assert err.count("\n") == 1


def test_a_fault_of_the_program_is_called_one_and_shows_its_traceback_on_demand(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "report", lambda path: 1 / 0)
    monkeypatch.delenv("FLOW_COURSE_DEBUG", raising=False)
    code, _, err = run(capsys, "doctor")
    assert code == 1
    assert "fault of the program" in err and "FLOW_COURSE_DEBUG=1" in err and "Traceback" not in err
    monkeypatch.setenv("FLOW_COURSE_DEBUG", "1")
    assert "Traceback" in run(capsys, "doctor")[2]


# ------------------------------------------------------------------------------------------------------------- compare


@pytest.fixture(scope="module")
def comparison(folder, tmp_path_factory) -> tuple[str, Path]:
    """One run for the tests that only look at what it left behind."""
    out = tmp_path_factory.mktemp("results")
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setenv("COLUMNS", "200")
        argv = ["compare", "--data", str(folder), "--methods", "pca,mahalanobis", "--size", "48", "--out", str(out)]
        assert main(argv) == 0
    return said.getvalue(), out


def test_compare_says_its_setting_and_prints_every_column(comparison):
    said, _ = comparison
    assert "'small' setting" in said
    assert all(title in said for title, _ in table.COLUMNS.values())
    assert all(f"{kind} (3)" in said for kind in KINDS)
    line = next(line for line in said.splitlines() if line.startswith("mahalanobis ") and "embedded" in line)
    assert line.split()[4:6] == ["–", "–"], "mahalanobis has no map, so no pixel metrics"


def test_compare_stores_what_another_person_needs_to_repeat_it(comparison, folder):
    stored = only_json(comparison[1])
    split = data.folder.read(folder)
    assert stored["complete"] is True
    assert stored["data"][0]["fingerprint"] == split.fingerprint()
    assert stored["versions"]["torch"] and stored["versions"]["tutorial_lib"] and stored["machine"]["threads"] >= 1
    assert stored["settings"]["seed"] == 0 and stored["rows"][0]["settings"]["size"] == 48
    assert str(folder) not in json.dumps(stored), "no path of this machine"
    for row in stored["rows"]:
        assert row["image_auroc"] == pytest.approx(metrics.auroc(row["scores"], split.labels), abs=1e-9)
        low, high = row["image_auroc_interval"]
        assert low <= row["image_auroc"] <= high
        scores = np.array(row["scores"])
        for kind in KINDS:
            one = np.isin(split.kinds, ["good", kind])
            expected = metrics.auroc(scores[one], split.labels.numpy()[one])
            assert row["per_kind"][kind] == {"image_auroc": pytest.approx(expected, abs=1e-9), "n": 3}


def test_compare_gives_the_numbers_of_the_detector_itself(comparison, folder):
    split = data.folder.read(folder)
    detector = detectors.create("pca", size=48, progress=False)
    detector.fit(split.train)
    row = only_json(comparison[1])["rows"][0]
    assert row["scores"] == pytest.approx(detector.score(split.test).tolist(), rel=1e-4)
    maps = detector.anomaly_map(split.test)
    assert row["pixel_auroc"] == pytest.approx(metrics.pixel_auroc(maps, split.masks), abs=1e-3)
    assert row["aupro"] == pytest.approx(metrics.aupro(maps, split.masks), abs=1e-3)


def test_compare_draws_a_contact_sheet(comparison):
    (sheet,) = comparison[1].glob("*.png")
    with Image.open(sheet) as image:
        assert min(image.size) > 300
    assert only_json(comparison[1])["data"][0]["contact_sheet"] == sheet.name


@pytest.mark.usefixtures("quick_sheet")
def test_a_second_run_leaves_the_first_result_alone(capsys, folder, tmp_path):
    for _ in range(2):
        assert run(capsys, "compare", "--data", folder, "--methods", "pca", "--size", "48", "--out", tmp_path)[0] == 0
    first, second = (json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json")))
    assert first["rows"][0]["scores"] == second["rows"][0]["scores"]


@pytest.mark.usefixtures("quick_sheet")
@pytest.mark.parametrize("asked, products", [
    (None, ["carpet", "metal", "washer", "board"]), ("all", list(data.factory.CATEGORIES)), ("nut", ["nut"]),
    ("capsule, metal,capsule", ["capsule", "metal"]),
])
def test_without_data_the_factory_is_compared_on(capsys, tmp_path, monkeypatch, asked, products):
    monkeypatch.setattr(compare, "FACTORY", {"n_train": 4, "n_good": 3, "n_per_kind": 1})
    named = [] if asked is None else ["--category", asked]
    code, out, _ = run(capsys, "compare", "--methods", "pca", "--size", "32", "--out", tmp_path, *named)
    assert code == 0
    assert [row["split"].split()[0] for row in only_json(tmp_path)["rows"]] == products
    assert ("'--category all' compares on all 8" in out) == (asked is None), "four of eight are said to be four"


@pytest.mark.usefixtures("quick_sheet")
def test_a_folder_of_several_categories_is_compared_one_by_one(capsys, folder, tmp_path):
    (tmp_path / "all").mkdir()
    for name in ("bolts", "nuts"):
        (tmp_path / "all" / name).symlink_to(folder, target_is_directory=True)
    argv = ["compare", "--data", tmp_path / "all", "--methods", "pca", "--size", "48", "--out", tmp_path / "out"]
    assert run(capsys, *argv)[0] == 0
    assert len(only_json(tmp_path / "out")["rows"]) == 2
    assert run(capsys, *argv, "--category", "nuts")[0] == 0


@pytest.mark.usefixtures("quick_sheet")
def test_a_train_list_moves_the_other_normal_pictures_to_the_test_set(capsys, folder, tmp_path):
    (tmp_path / "list.txt").write_text("000.png\n001.png\n002.png\n")
    argv = ["--methods", "pca", "--size", "48", "--out", tmp_path]
    assert run(capsys, "compare", "--data", folder, "--train-list", tmp_path / "list.txt", *argv)[0] == 0
    assert only_json(tmp_path)["data"][0]["counts"] == {"train": 3, "good": 7, "crack": 3, "spot": 3}


@pytest.mark.usefixtures("quick_sheet")
def test_one_method_that_fails_does_not_take_the_others_with_it(capsys, folder, tmp_path, monkeypatch):
    def refuse(self, *_):
        raise detectors.DetectorError("mahalanobis cannot. Do something else.")

    monkeypatch.setattr(detectors.Mahalanobis, "_fit", refuse)
    argv = ["--methods", "mahalanobis", "pca", "--size", "48", "--out", tmp_path]
    code, out, err = run(capsys, "compare", "--data", folder, *argv)
    assert code == 2
    assert "mahalanobis: failed. mahalanobis cannot" in out and "1 of 2 runs failed" in err
    assert "image_auroc" in only_json(tmp_path)["rows"][1]


@pytest.mark.slow
@pytest.mark.parametrize("train_list", [None, "train_by_tile.txt"])
def test_the_real_photographs_go_through_with_both_splits(capsys, mtd_dir, tmp_path, train_list):
    argv = ["compare", "--data", mtd_dir, "--methods", "pca", "--out", tmp_path]
    argv += ["--train-list", mtd_dir / train_list] if train_list else []
    code, out, err = run(capsys, *argv)
    assert code == 0, err
    found = only_json(tmp_path)["data"][0]
    assert (found["counts"]["train"], found["counts"]["good"]) == ((705, 247) if train_list else (761, 191))
    assert found["pixel_truth"] == found["counts"]["good"] + 388
    assert "4 pictures are defective with an empty mask" in out


# ---------------------------------------------------------------------------------------- results, table, memory, sheet


def test_a_result_appears_complete_or_not_at_all(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        results.write(tmp_path / "a.json", {"x": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_result_never_takes_the_place_of_another(tmp_path):
    results.write(tmp_path / "a.json", {"x": 1})
    with pytest.raises(FileExistsError):
        results.write(tmp_path / "a.json", {"x": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    first = results.new_stem(tmp_path, "compare", {})
    results.write(first.with_suffix(".json"), {})
    assert results.new_stem(tmp_path, "compare", {}) != first


ROW = {"method": "pca", "backbone": "pixels", "image_auroc": 0.91234, "image_auroc_interval": [0.9, 0.92],
       "average_precision": 0.5, "pixel_auroc": None, "aupro": None, "train_seconds": 1.26, "images_per_second": 99.6,
       "parameters": 1234567, "peak_memory_mib": None}


def test_the_table_rounds_aligns_and_marks_what_is_missing():
    head, rule, line = table.text([ROW], width=200).splitlines()
    assert line.split() == ["pca", "0.912", "0.900–0.920", "0.500", "–", "–", "1.3", "100", "1,234,567", "–", "pixels"]
    assert line.index("0.912") + 5 == head.index("image AUROC") + len("image AUROC") and set(rule) == {"─"}


def test_the_table_becomes_two_on_a_narrow_terminal():
    lines = table.text([ROW], width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("method") for line in lines) == 2


def test_peak_memory_sees_a_block_that_was_given_back():
    with machine.PeakMemory() as used, mmap.mmap(-1, 64 * 2**20) as block:  # new pages: an array might get used ones
        block[::4096] = bytes(len(block) // 4096)
        time.sleep(0.1)
    assert used.peak - used.before > 56


def test_the_machine_is_described():
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    free, total = machine.memory()
    assert 0 <= free <= total
    assert machine.versions()["python"] == sys.version.split()[0]


def test_a_contact_sheet_has_a_line_per_picture_and_a_column_per_method():
    heat = [np.linspace(0, 1, 20).reshape(4, 5), np.zeros((6, 6))]
    masks = [np.eye(4, 5) > 0, None]
    images = [torch.rand(3, 4, 5), torch.rand(3, 6, 6)]
    fig = contact.contact_sheet(images, masks, {"a": heat, "b": heat}, ["crack", "good"])
    grid = np.array(fig.axes).reshape(2, 4)
    assert [ax.get_title() for ax in grid[0]] == ["picture", "true defect", "a", "b"]
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["crack", "good"]
    assert [len(ax.collections) for ax in grid[0]] == [0, 1, 1, 1], "the outline, but not on the bare picture"
    limits = {ax.images[0].get_clim() for ax in grid[:, 2:].ravel()}
    assert len(limits) == 1, "one scale for all pictures of a method"
    contact.contact_sheet([torch.rand(3, 4, 4)], [None], {"flat": [np.zeros((4, 4))]}, ["good"])


# -------------------------------------------------------------------------------------------------------------- doctor


def test_the_doctor_speaks_of_everything_that_decides(capsys):
    code, out, _ = run(capsys, "doctor")
    assert code == 0, out
    for word in ("Python", "torch ", "core", "memory", "disk", "GPU", "embedded", "images of 128", "JupyterLab"):
        assert word in out
    *lines, gap, verdict = out.splitlines()
    assert all(line[0] in doctor.MARKS.values() and line.endswith(".") for line in lines)
    assert (gap, verdict) == ("", "Nothing stands in the way.")


@pytest.mark.parametrize("found, sentence", [(None, "is missing"), ("0.0.1", "is outside")])
def test_the_doctor_finds_a_package_that_is_missing_or_too_old(monkeypatch, found, sentence):
    def version(name, real=machine.importlib.metadata.version):
        if name != "scipy":
            return real(name)
        if found is None:
            raise machine.importlib.metadata.PackageNotFoundError
        return found

    monkeypatch.setattr(doctor_machine.importlib.metadata, "version", version)
    (line,) = (line for line in doctor_machine.software() if line.status == "problem")
    assert "scipy" in line.text and sentence in line.text and "pip install" in line.text


def test_the_doctor_finds_damaged_weights(monkeypatch, tmp_path):
    from tutorial_lib.backbones import weights_file

    copy = tmp_path / "embedded.safetensors"
    copy.write_bytes(weights_file.EMBEDDED.read_bytes()[:-1] + b"\0\1")
    copy.with_suffix(".json").write_text(weights_file.EMBEDDED.with_suffix(".json").read_text())
    monkeypatch.setattr(weights_file, "EMBEDDED", copy)
    assert doctor_machine.weights()[0].status == "problem"


def test_the_doctor_survives_a_look_that_fails(monkeypatch):
    monkeypatch.setattr(doctor_machine, "LOOKS", (lambda: 1 / 0,))
    (line,) = doctor.report()
    assert line.status == "note" and "could not be examined" in line.text


def test_the_doctor_counts_a_folder(capsys, folder):
    code, out, _ = run(capsys, "doctor", folder)
    assert code == 0
    assert "6 normal pictures to train on; to test on 4 normal" in out and "3 crack, 3 spot" in out
    assert "48 × 48 px" in out and "6 of 6 defective pictures have a mask" in out


@pytest.mark.usefixtures("quick_sheet")
def test_pixel_metrics_leave_out_what_nobody_marked(capsys, tmp_path):
    """An empty or a missing mask of a defective picture would turn its defect into false alarms."""
    folder = write_folder(tmp_path / "plates")
    Image.new("L", (48, 48)).save(folder / "ground_truth" / "crack" / "000_mask.png")
    (folder / "ground_truth" / "crack" / "001_mask.png").unlink()
    split = data.folder.read(folder)
    found = pictures.inspect(split, progress=False)
    left_out = {split.paths[i] for i in range(len(split.test))} - {split.paths[i] for i in found.pixel_truth}
    assert left_out == {"test/crack/000.png", "test/crack/001.png"}
    assert len(found.notes) == 2 and not found.problems

    run(capsys, "compare", "--data", folder, "--methods", "pca", "--size", "48", "--out", tmp_path / "out")
    detector = detectors.create("pca", size=48, progress=False)
    detector.fit(split.train)
    kept = [i for i in range(len(split.test)) if split.paths[i] not in left_out]
    maps, masks = detector.anomaly_map(split.test)[kept], [split.masks[i] for i in kept]
    (row,) = only_json(tmp_path / "out")["rows"]
    assert row["aupro"] == pytest.approx(metrics.aupro(maps, masks), abs=1e-3)
    assert row["pixel_auroc"] == pytest.approx(metrics.pixel_auroc(maps, masks), abs=1e-3)


def test_packed_masks_come_back_as_they_were():
    rng, packed = np.random.default_rng(0), pictures.PackedMasks()
    masks = [rng.random(shape) > 0.5 for shape in ((3, 5), (8, 8), (1, 1))] + [np.zeros((4, 7), bool)]
    for mask in masks:
        packed.append(torch.from_numpy(mask))
    assert len(packed) == 4
    for mask, back in zip(masks, packed, strict=True):
        assert back.dtype == bool and (back == mask).all()


# ----------------------------------------------------------------------------------------------------------------- lab


def test_lab_takes_the_next_port_and_says_so_unless_one_was_asked_for(capsys, monkeypatch):
    with socket.socket() as busy:
        busy.bind((lab.HOST, 0))
        busy.listen()
        port = busy.getsockname()[1]
        monkeypatch.setattr(lab, "PORT", port)
        assert lab.choose_port(None) > port
        assert f"Port {port} is taken" in capsys.readouterr().out
        with pytest.raises(CommandError, match=f"Port {port} is taken"):
            lab.choose_port(port)


def test_lab_listens_on_this_machine_only_and_asks_nobody_for_news(tmp_path, monkeypatch):
    told = lab.arguments(tmp_path, 8888, lab.START, browser=False)
    assert "--ServerApp.ip=127.0.0.1" in told and "--LabApp.news_url=None" in told
    assert any("NeverCheckForUpdate" in part for part in told) and not any("token" in part for part in told)
    for user, expected in ((0, True), (1000, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user, raising=False)
        assert ("--allow-root" in lab.arguments(tmp_path, 8888, "", browser=False)) is expected


def test_lab_says_where_to_go_when_the_notebooks_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "__file__", str(tmp_path / "a" / "b" / "lab.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="holds notebooks/"):
        lab.course_folder()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to one process exists on POSIX only")
def test_lab_opens_with_its_token_only_and_one_ctrl_c_stops_it():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore Ctrl-C
    with socket.socket() as probe:
        probe.bind((lab.HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tutorial_lib", "lab", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, env={**os.environ, "JUPYTER_TOKEN": ""}) as process:
        try:
            address = next(line.strip() for line in process.stdout if "http://" in line)
            assert address.startswith(f"http://127.0.0.1:{port}/lab") and "token=" in address
            base, token = address.split("/lab")[0], address.split("token=")[1]
            assert urllib.request.urlopen(f"{base}/api/contents?token={token}", timeout=20).status == 200
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{base}/api/contents", timeout=20)
            process.send_signal(signal.SIGINT)
            said, code = process.stdout.read(), process.wait(timeout=30)
        finally:
            process.kill()
            signal.signal(signal.SIGINT, before)
    assert code == 0 and "has stopped" in said and "Traceback" not in said
