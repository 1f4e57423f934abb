"""Downloads: whatever the server does, the final name holds the right bytes or nothing, and a sentence says why.

The real code talks to a real server on 127.0.0.1. Nothing here leaves this machine.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from loopback import serving

from tutorial_lib.backbones import download
from tutorial_lib.backbones.download import DownloadFailed, fetch

CONTENT = bytes(range(256)) * 4000  # 1 MB: several chunks
HASH = hashlib.sha256(CONTENT).hexdigest()
PREFIX, NAME = HASH[:8], f"net-{HASH[:8]}.pth"
PAGE = b"<html><body>Please log in</body></html>"
HALF = len(CONTENT) // 2


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSES", (0, 0))
    monkeypatch.setattr(download, "TIMEOUT", 0.4)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "checkpoints" / NAME


def part_of(file):
    return file.with_name(file.name + ".part")


def get(server, file, prefix=PREFIX):
    return fetch(server.url + file.name, file, prefix, progress=False)


def left(file):
    """Names in the folder, without the lock, which stays."""
    return {path.name for path in file.parent.iterdir()} - {file.name + ".lock"}


ARRIVES = {  # behaviours, one per request -> the Range header of each request
    "whole": ([], [None]),
    "slow, but never silent for long": ([{"slow": 0.15}], [None]),  # 1.5 s altogether, with a time-out of 0.4 s
    "no length said": ([{"length": False}], [None]),
    "cut off in the middle": ([{"cut": HALF}], [None, f"bytes={HALF}-"]),
    "cut off three times": ([{"cut": 1000}, {"cut": 1000}, {"cut": 1000}],
                            [None, "bytes=1000-", "bytes=2000-", "bytes=3000-"]),
    "cut off before anything came": ([{"cut": 0}], [None, None]),
    "silent in the middle": ([{"stall": HALF}], [None, f"bytes={HALF}-"]),
    "cut off, then Range is ignored": ([{"cut": HALF}, {"ranges": False}], [None, f"bytes={HALF}-"]),
    "a busy server": ([{"status": 503}], [None, None]),
    "cut off, then busy": ([{"cut": HALF}, {"status": 500}], [None, f"bytes={HALF}-", f"bytes={HALF}-"]),
}


@pytest.mark.parametrize("case", ARRIVES)
def test_the_file_arrives(case, file):
    script, ranges = ARRIVES[case]
    with serving(CONTENT, *script) as server:
        assert get(server, file) == file
    assert file.read_bytes() == CONTENT and left(file) == {file.name}
    assert server.ranges == ranges


def forever(**how):
    return [how] * 50


FAILS = {  # behaviours -> words of the sentence, what stays in the folder
    "not there": ([{"status": 404}], "is not there .*404", None),
    "forbidden": ([{"status": 403}], "is not there .*403", None),
    "an error that stays": (forever(status=500), "cannot be reached from here .*500", None),
    "a login page": ([{"body": PAGE}], "look like a web page.*They were removed", None),
    "one wrong byte": ([{"body": CONTENT[:-1] + b"x"}], "gave other bytes than expected.*They were removed", None),
    "shorter, and sure of it": ([{"body": CONTENT[:HALF]}], "gave other bytes than expected", None),
    "cut off without a length": ([{"length": False, "cut": HALF}], "gave other bytes than expected", None),
    "always cut off at once": (forever(cut=0), r"cannot be reached from here \(the connection ended after 0.0", 0),
    "silent from the start": (forever(stall=0), "no answer for 0.4 seconds", 0),
    "ignores Range and always cuts off": (forever(cut=HALF, ranges=False), "0.5 MB have arrived and are kept", HALF),
    "sends another part": ([{"cut": HALF}, {"part": "bytes 7-9/10"}], "another part of the file", HALF),
}


@pytest.mark.parametrize("case", FAILS)
def test_a_failure_is_a_sentence_and_leaves_nothing_under_the_final_name(case, file):
    script, words, kept = FAILS[case]
    with serving(CONTENT, *script) as server, pytest.raises(DownloadFailed, match=words) as caught:
        get(server, file)
    assert not file.exists() and server.url in str(caught.value)
    assert left(file) == (set() if kept is None else {part_of(file).name})
    assert kept is None or part_of(file).read_bytes() == CONTENT[:kept]
    assert len(server.ranges) <= 6  # it gives up
    with serving(CONTENT) as server:  # and the next try, on a better day, succeeds
        get(server, file)
    assert file.read_bytes() == CONTENT and server.ranges == [f"bytes={kept}-" if kept else None]


OLD = {"a beginning": (CONTENT[:777], 1), "everything": (CONTENT, 1), "more than everything": (CONTENT + b"more", 2),
       "the beginning of another file": (PAGE, 2), "nothing": (b"", 1)}


@pytest.mark.parametrize("case", OLD)
def test_what_an_earlier_try_left_is_used_if_it_fits_and_replaced_if_not(case, file):
    content, requests = OLD[case]
    file.parent.mkdir()
    part_of(file).write_bytes(content)
    with serving(CONTENT) as server:
        get(server, file)
    assert file.read_bytes() == CONTENT and left(file) == {file.name}
    assert len(server.ranges) == requests


def test_an_old_beginning_is_blamed_once_and_then_the_server(file):
    file.parent.mkdir()
    part_of(file).write_bytes(PAGE)
    with serving(CONTENT[:-1] + b"x") as server, pytest.raises(DownloadFailed, match="gave other bytes than expected"):
        get(server, file)
    assert server.ranges == [f"bytes={len(PAGE)}-", None] and left(file) == set()


def test_a_file_that_is_there_is_not_fetched_again(file):
    file.parent.mkdir()
    file.write_bytes(b"mine")
    with serving(CONTENT) as server:
        get(server, file)
    assert server.ranges == [] and file.read_bytes() == b"mine"


def test_without_a_network_the_sentence_names_the_address(file):
    with socket.socket() as taken:  # a port on which nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/{file.name}"
        with pytest.raises(DownloadFailed, match=r"cannot be reached from here .*refused") as caught:
            fetch(url, file, PREFIX, progress=False)
    assert url in str(caught.value) and left(file) == set()


def test_a_name_that_cannot_be_looked_up_is_no_network_either(file, monkeypatch):
    def nobody(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(DownloadFailed, match=r"cannot be reached from here .*name resolution"):
        fetch("http://weights.invalid/" + file.name, file, PREFIX, progress=False)


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(file, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with serving(CONTENT) as server, pytest.raises(DownloadFailed, match="0 MB free, and 1 MB are still to come"):
        get(server, file)
    assert left(file) == set()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "checkpoints").write_text("I am a file")
    with serving(CONTENT) as server, pytest.raises(DownloadFailed, match="checkpoints cannot be written to"):
        get(server, tmp_path / "checkpoints" / NAME)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(file):
    file.parent.mkdir(mode=0o500)
    with serving(CONTENT) as server, pytest.raises(DownloadFailed, match="cannot be written to"):
        get(server, file)


# --- other processes -------------------------------------------------------------------------------------------------

CHILD = """
import importlib.util, sys
from pathlib import Path
if limit := int(sys.argv[4]):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))   # a write beyond it fails, as on a full disk
spec = importlib.util.spec_from_file_location("download", sys.argv[5])     # alone, without waiting for torch
download = importlib.util.module_from_spec(spec)
spec.loader.exec_module(download)
try:
    download.fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3], progress=False)
except download.DownloadFailed as error:
    sys.exit("SENTENCE " + str(error))
"""


def child(server, file, limit=0):
    arguments = [server.url + file.name, str(file), PREFIX, str(limit), download.__file__]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments],
                            stderr=subprocess.PIPE, text=True, env=os.environ | {"no_proxy": "127.0.0.1"})


@pytest.mark.slow
def test_two_processes_at_once_fetch_once(file):
    with serving(CONTENT, {"slow": 0.3}) as server:
        both = [child(server, file) for _ in range(2)]
        words = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    assert file.read_bytes() == CONTENT and server.ranges == [None] and left(file) == {file.name}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX")
def test_after_a_kill_in_the_middle_the_next_process_goes_on(file):
    with serving(CONTENT, {"stall": HALF}) as server:
        process = child(server, file)
        until = time.monotonic() + 100
        while not (part_of(file).exists() and part_of(file).stat().st_size) and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
        process.communicate(timeout=100)
        have = part_of(file).stat().st_size
        assert not file.exists() and 0 < have <= HALF
        get(server, file)
    assert file.read_bytes() == CONTENT and server.ranges == [None, f"bytes={have}-"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_disk_that_fills_up_in_the_middle_keeps_what_has_arrived(file):
    with serving(CONTENT) as server:
        process = child(server, file, limit=300_000)
        words = process.communicate(timeout=100)[1]
        assert process.returncode == 1 and "SENTENCE" in words and "cannot be written to" in words, words
        have = part_of(file).stat().st_size
        assert 0 < have <= 300_000 and not file.exists()
        get(server, file)
    assert file.read_bytes() == CONTENT and server.ranges[-1] == f"bytes={have}-"


def test_the_progress_bar_counts_bytes_and_names_the_file(file, capsys):
    with serving(CONTENT, {"cut": HALF}) as server:
        fetch(server.url + file.name, file, PREFIX)
    assert NAME in (shown := capsys.readouterr().err) and "1.02M/1.02M" in shown
