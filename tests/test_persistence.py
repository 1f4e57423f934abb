"""Nothing that was there is lost: saving, loading, full disks, Ctrl-C, and trainings that continue."""

from __future__ import annotations

import errno
import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from tutorial_lib import detectors
from tutorial_lib.data import factory
from tutorial_lib.detectors import DetectorError, files

SMALL = {"pca": {}, "mahalanobis": {"scales": 1}, "gaussian": {"channels": 10},
         "patches": {"memory": 50},
         "differnet": {"steps": 6, "hidden": 16, "blocks": 2, "bank": 2, "test_views": 2, "images_per_step": 4,
                       "scales": 1},
         "cflow": {"steps": 4, "blocks": 2, "position_dim": 8, "vectors_per_step": 64},
         "csflow": {"size": 32, "steps": 4, "blocks": 2, "hidden": 8},
         "fastflow": {"steps": 4, "blocks": 2}, "pyramidflow": {"steps": 4, "stacks": 1}}
every = pytest.mark.parametrize("name", detectors.NAMES)


def make(name: str = "differnet", **overrides) -> detectors.Detector:
    return detectors.create(name, progress=False, **{"size": 48, "weights": "random"} | SMALL[name] | overrides)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("metal", 6, size=48)


@pytest.fixture(scope="module")
def fitted(normals) -> detectors.Detector:
    detector = make()
    detector.fit(normals)
    return detector


@every
def test_a_loaded_detector_scores_the_same_bit_for_bit(name, normals, tmp_path):
    detector = make(name)
    detector.fit(normals)
    detector.calibrate(normals, fpr=0.5)
    loaded = detectors.load(detector.save(tmp_path / "folder with 空格" / "d.safetensors"), progress=False)
    assert type(loaded) is type(detector)
    assert torch.equal(loaded.score(normals), detector.score(normals))
    if detector.has_map:
        assert torch.equal(loaded.anomaly_map(normals[:1]), detector.anomaly_map(normals[:1]))
    assert loaded.settings == detector.settings
    assert (loaded.thresholds, loaded.history) == (detector.thresholds, detector.history)
    assert loaded.parameters_count() == detector.parameters_count()


def test_a_detector_saved_under_inference_mode_still_gives_gradient_maps(fitted, normals, tmp_path):
    with torch.inference_mode():
        loaded = detectors.load(fitted.save(tmp_path / "d"), progress=False)
        found = loaded.anomaly_map(normals[:1])
    assert torch.equal(found, fitted.anomaly_map(normals[:1]))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_whole_and_gets_a_sentence(failing, fitted, normals, tmp_path, monkeypatch):
    path = fitted.save(tmp_path / "d.safetensors")
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(DetectorError, match=r"No space left on device. The file that was there before is unchanged"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["d.safetensors"]  # no half-written file stays behind
    with pytest.raises(DetectorError, match="Nothing was written"):
        fitted.save(tmp_path / "other")


def test_ctrl_c_while_saving_leaves_the_old_file_whole(fitted, tmp_path, monkeypatch):
    path = fitted.save(tmp_path / "d.safetensors")
    before = path.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fitted.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def _cut(path, fitted):
    path.write_bytes(path.read_bytes()[:-100])


def _other_name(path, fitted):
    card = {"name": "ganomaly", "settings": {}, "backbone": "", "history": {}, "thresholds": {}}
    files.write(path, "detector", fitted.state, card)


def _other_weights(path, fitted):
    tensors, card = files.read(path, "detector")
    files.write(path, "detector", tensors, card | {"backbone": "embedded random seed 7"})


WRONG_FILES = {
    "missing": (lambda path, _: path.unlink(), "is not a file"),
    "a folder": (lambda path, _: (path.unlink(), path.mkdir()), "is not a file"),
    "empty": (lambda path, _: path.write_bytes(b""), "cannot be read as safetensors"),
    "cut short": (_cut, "cannot be read as safetensors"),
    "a pickle": (lambda path, _: path.write_bytes(pickle.dumps(print)), "cannot be read as safetensors"),
    "other tensors": (lambda path, _: save_file({"a": torch.zeros(1)}, path), "tensors without a description"),
    "a checkpoint": (lambda path, _: files.write(path, "checkpoint", {"a": torch.zeros(1)}, {}), "'checkpoint'"),
    "a later format": (lambda path, _: save_file({}, path, {"kind": "detector", "format": "99"}), "format 99"),
    "an unknown method": (_other_name, "does not know"),
    "other backbone weights": (_other_weights, "fitted with the backbone 'embedded random seed 7'"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_what_is_no_saved_detector_gets_a_sentence(case, fitted, tmp_path):
    spoil, sentence = WRONG_FILES[case]
    path = fitted.save(tmp_path / "d.safetensors")
    spoil(path, fitted)
    with pytest.raises(DetectorError, match=sentence):
        detectors.load(path)


def test_the_file_says_in_plain_json_how_it_was_made(fitted, tmp_path):
    path = fitted.save(tmp_path / "d.safetensors")
    length = int.from_bytes(path.read_bytes()[:8], "little")
    card = json.loads(json.loads(path.read_bytes()[8:8 + length])["__metadata__"]["card"])
    assert card["name"] == "differnet"
    assert card["settings"]["steps"] == 6
    assert card["backbone"] == "embedded random seed 0"


# -- trainings that stop and continue ---------------------------------------------------------------------------------


class StopAt:
    """A callback that presses Ctrl-C after some steps."""

    def __init__(self, step: int):
        self.step = step

    def __call__(self, step: int, loss: float) -> None:
        if step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("fresh_views", [False, True])
def test_ctrl_c_and_resume_end_where_an_uninterrupted_training_ends(fresh_views, normals, tmp_path):
    fresh = {"bank": 0, "whiten": False, "noise": False, "steps": 0, "epochs": 3, "train_views": 2}
    numbers = fresh if fresh_views else {}
    whole = make(**numbers)
    losses = whole.fit(normals)["loss"]
    assert len(losses) == 6
    parts = make(**numbers)
    with pytest.raises(KeyboardInterrupt):
        parts.fit(normals, callback=StopAt(2), resume=tmp_path / "c")
    assert parts.state is None  # not half fitted
    seen = []
    history = parts.fit(normals, callback=lambda step, loss: seen.append(step), resume=tmp_path / "c")
    assert seen == [3, 4, 5]
    assert history["loss"] == losses
    assert all(torch.equal(parts.state[key], whole.state[key]) for key in whole.state)


def test_ctrl_c_leaves_a_fitted_detector_as_it_was(normals):
    detector = make()
    detector.fit(normals)
    before, history = detector.score(normals), detector.history
    with pytest.raises(KeyboardInterrupt):
        detector.fit(normals.flip(3), callback=StopAt(1))
    assert torch.equal(detector.score(normals), before)
    assert detector.history is history


def test_a_finished_training_is_not_repeated(normals, tmp_path):
    first = make().fit(normals, resume=tmp_path / "c")
    steps = []
    assert make().fit(normals, callback=lambda *a: steps.append(a), resume=tmp_path / "c")["loss"] == first["loss"]
    assert steps == []


@pytest.mark.parametrize("change", ["settings", "images", "file"])
def test_a_checkpoint_of_another_training_is_refused(change, normals, tmp_path):
    make().fit(normals, resume=tmp_path / "c")
    if change == "file":
        (tmp_path / "c").write_bytes(b"not a checkpoint")
    detector = make(lr=1e-2) if change == "settings" else make()
    with pytest.raises(DetectorError, match=r"another training|cannot be read"):
        detector.fit(normals.flip(0) if change == "images" else normals, resume=tmp_path / "c")
    assert detector.state is None


def test_a_loss_that_is_not_finite_stops_with_a_sentence(normals, tmp_path):
    detector = make(lr=1e6, clamp="NoClamp", steps=50)
    with pytest.raises(DetectorError, match=r"The loss became (nan|inf) at step .* smaller learning rate"):
        detector.fit(normals)
    assert detector.state is None
