"""The explorer's desk, widgets, page and command, without a browser; and the stored detectors as files."""

from __future__ import annotations

import json
import os
import re
import socket
from html import escape
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest
import torch

from tutorial_lib import detectors, stored
from tutorial_lib.cli import explore, lab
from tutorial_lib.cli.errors import CommandError
from tutorial_lib.cli.main import main
from tutorial_lib.data import factory
from tutorial_lib.explorer import page, scatter
from tutorial_lib.explorer.models import studied

TAPS = ("stride4",)


@pytest.fixture(scope="module")
def studies():
    split = factory.split("washer", size=32, n_train=6, n_good=4, n_per_kind=1, seed=0)

    def make(name, **settings):
        detector = detectors.create(name, size=32, progress=False, device="cpu", **settings)
        detector.fit(split.train)
        return studied(detector, split)

    return {"pooled": lambda: make("mahalanobis", scales=1, pooling=("mean",), taps=TAPS),
            "placed": lambda: make("gaussian", channels=4, taps=TAPS)}


# ---- the map of points ----


def test_points_travel_as_bytes_inside_the_unit_square():
    box = scatter.Scatter()
    box.show([[0, 5], [10, 5], [4, 5]], [0, 1, 1], ["a", "b", "c"])
    xy = np.frombuffer(box.points, np.float32).reshape(-1, 2)
    assert xy.min() > 0 and xy.max() < 1 and (xy[:, 1] == 0.5).all()
    assert xy[0, 0] < xy[2, 0] < xy[1, 0] and list(box.kinds) == [0, 1, 1]


def test_the_script_of_the_map_asks_nobody_for_anything():
    script = (scatter._HERE / "scatter.js").read_text(encoding="utf-8")
    assert not re.search(r"https?:|fetch\(|XMLHttp|import\s*\(|from ['\"]|WebSocket", script)
    assert len([line for line in script.splitlines() if line.strip() and not line.strip().startswith("//")]) < 130


# ---- desk and widgets ----


@pytest.mark.slow
def test_number_map_and_rank_follow_each_other_and_the_card_changes(studies):
    from tutorial_lib.explorer.app import Explorer

    app = Explorer(studies)
    study = app.desk.study
    assert app.number.value == int(study.scores.argmax()) and app.rank.value == 1
    first, text = app.card.value, app.text.value
    app.map.selected = 3
    assert app.number.value == 3 and app.card.value != first and study.names[3] in app.text.value != text
    app.number.value = 12
    assert app.map.selected == 12 and int(app._order[app.rank.value - 1]) == 12
    app.rank.value = len(study.names)
    assert app.map.selected == int(study.scores.argmin())
    app.map.selected = -1  # a click beside all points opens nothing and closes nothing
    assert app.number.value == int(study.scores.argmin())


@pytest.mark.slow
def test_every_model_map_and_scale_can_be_chosen_and_places_follow(studies):
    from tutorial_lib.explorer.app import Explorer

    app = Explorer(studies)
    assert "No place to click" in app.places.children[0].value
    app.model.value = "placed"
    assert "Click a place" in app.places.children[0].value
    for kind in app.kind.options:
        for _, scale in app.scale.options:
            app.kind.value, app.scale.value = kind, scale
            assert len(app.map.points) == 8 * len(app.desk.study.names)
    app.photo.selected = 19
    assert (app.row.value, app.col.value) == divmod(19, 8)
    before = app.place.value
    app.col.value = 7
    assert app.photo.selected == 23 and app.place.value != before
    assert "cell (2, 7)" in app.place_text.value
    app.looks.value = True
    assert len(app.shapes.children) == 2


@pytest.mark.slow
def test_a_name_is_shown_and_never_runs_as_html_or_is_read_as_a_formula(studies):
    from dataclasses import replace

    from ipywidgets import HTML, Widget

    from tutorial_lib.explorer.app import Explorer

    def renamed(model):
        study, masks = studies[model]()
        names = [f"part$b_$<b>x{i}.png" for i in range(len(study.names))]
        groups = [g if g in ("train", "good") else "<b>x$" for g in study.groups]
        return replace(study, names=tuple(names), groups=tuple(groups)), masks

    app = Explorer({model: lambda model=model: renamed(model) for model in studies})

    def everything(widget: Widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from everything(child)

    for model in studies:
        app.model.value, app.looks.value = model, True
        shown = [part.value for part in everything(app.widget) if isinstance(part, HTML)]
        assert not any("<b>x" in text for text in shown)
        assert "&lt;b&gt;x$" in app.legend.value and "part$b_$&lt;b&gt;x" in app.text.value
        if model == "placed":
            assert "&lt;b&gt;x" in app.place_text.value


def test_what_a_screen_reader_hears_is_text():
    from tutorial_lib.widgets.canvas import View
    from tutorial_lib.widgets.frame import live, pictured

    assert live("<img src=x onerror=y>") == '<div aria-live="polite">&lt;img src=x onerror=y&gt;</div>'
    assert "<b>x" not in pictured([], lambda: View(b"", {}, "<b>x")).children[-1].value


def test_an_error_with_a_name_in_it_is_text_on_the_page(monkeypatch):
    seen = []
    monkeypatch.setattr("IPython.display.display", seen.append)
    monkeypatch.setenv(page.SPEC, json.dumps({"file": "no <b>x.safetensors"}))
    page.show()
    assert "&lt;b&gt;x" in seen[0].data and "<b>x" not in seen[0].data


@pytest.mark.slow
def test_a_dollar_in_a_name_is_drawn_as_it_stands():
    from tutorial_lib import plots
    from tutorial_lib.explorer.walker import Walker
    from tutorial_lib.explorer.walks import Coder
    from tutorial_lib.plots import explorer as pictures
    from tutorial_lib.plots import gallery

    name, x, points = "$\\frac{$ part$b_$.png", torch.rand(2, 3, 8, 8), np.eye(2)
    blank = np.zeros((8, 8, 3))
    figures = [pictures.maps_of_images([(points, ("a", "b"))], ["good", name], {name: 1}),
               pictures.two_parts(points[0], points[1], ["good", name], (0.5, 0.5), {name: 1}),
               pictures.near_and_far([(name, blank)] * 2, points[0], points[1], (0, 1), (0.1, 0.5)),
               gallery.strip(x, [name, name])]
    for figure in figures:
        plots.png(figure, dpi=40)
    assert Walker(Coder(lambda v: (v,), lambda z: z[0]), x, [name, name]).view(0, 1, 5).png


@pytest.mark.slow
def test_a_card_says_what_it_shows(studies):
    from tutorial_lib.explorer.desk import Desk

    study, masks = studies["placed"]()
    desk = Desk(study, masks)
    view = desk.card(11)
    assert view.numbers["rank"] == int((study.scores > study.scores[11]).sum()) + 1
    assert f"row {view.numbers['row']}, column {view.numbers['column']}" in view.alt
    assert float(desk.plane("score and radius", None).points[11, 0]) == view.numbers["rank"]  # one rank everywhere
    pixels = study.images.flatten(1).double()
    away = (pixels[study.normal] - pixels[11]).norm(dim=1)
    near = float((pixels[int(view.numbers["nearest"])] - pixels[11]).norm())
    assert view.numbers["pixels"] == pytest.approx(near, rel=1e-4)
    others = torch.arange(len(pixels))[study.normal] != 11
    assert view.numbers["pixel median"] == pytest.approx(float(away[others].median()), rel=1e-4)
    assert f"In pixels it is {near:.3g} away" in view.alt
    assert desk.card(11).png == view.png != desk.card(10).png


def test_the_axis_of_the_channels_ends_with_the_last_channel():
    from tutorial_lib.explorer.desk import Desk

    split = factory.split("washer", size=32, n_train=6, n_good=4, n_per_kind=1, seed=0)
    detector = detectors.create("fastflow", size=32, progress=False, device="cpu", taps=("stride4", "stride8"),
                                steps=1, blocks=2)
    detector.fit(split.train)
    desk = Desk(*studied(detector, split))
    assert len({z.shape[1] for z in desk.study.latents}) == 2  # two scales, of different width
    for z in desk.study.latents:
        picture, _ = desk._picture(z.shape[1])
        assert picture.dots.axes.get_xlim() == (-1, z.shape[1])


def test_agreement_lies_on_the_diagonal_of_the_squared_norms():
    from tutorial_lib.explorer.desk import distributions_of

    split = factory.split("washer", size=32, n_train=6, n_good=4, n_per_kind=1, seed=0)
    detector = detectors.create("gaussian", size=32, progress=False, device="cpu", channels=4, taps=TAPS)
    detector.fit(split.train)
    ax = distributions_of(studied(detector, split)[0], 0).axes[2]
    assert ax.get_xscale() == ax.get_yscale() and ax.get_xlim() == ax.get_ylim()


# ---- page and command ----


def test_the_page_is_served_on_loopback_with_a_token_and_without_files(tmp_path):
    told = page.settings(tmp_path, 8866)
    assert told["Voila"]["ip"] == "127.0.0.1" and told["Voila"]["auto_token"]
    assert told["VoilaConfiguration"]["file_denylist"] == [".*"]
    policy = told["Voila"]["tornado_settings"]["headers"]["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "http:" not in policy and "https:" not in policy and " * " not in policy


def test_the_page_is_not_served_without_a_token(tmp_path, monkeypatch):
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    with pytest.raises(ValueError, match="token"):
        page.serve(tmp_path, 1, {})


def test_the_page_is_a_valid_notebook():
    import nbformat

    nbformat.validate(nbformat.from_dict(page.notebook()))


@pytest.mark.parametrize("argv, words", [
    (["nothing"], "There is no model 'nothing'"), (["missing.safetensors"], "is not a file"),
    (["--category", "spoon"], "no stored detector for the product 'spoon'"),
    (["--data", "no such folder"], "no such folder"),
    (["--port", "99999"], "Expected a number from 1 to 65535"), (["pca", "--data", "x", "--size", "9"], "32 to 256")])
def test_what_cannot_be_explored_is_said_in_one_sentence(argv, words, capsys, monkeypatch):
    monkeypatch.setattr(explore, "_serve", lambda *_: pytest.fail("a server was started"))
    monkeypatch.setattr(explore, "_announce", lambda *_: None)
    assert main(["explore", *argv]) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and said.count("\n") == 1


def test_a_started_page_knows_its_models_and_keeps_the_token_out_of_the_arguments(monkeypatch):
    seen = {}
    monkeypatch.setenv("JUPYTER_TOKEN", "secret")
    monkeypatch.setattr(explore, "_announce", lambda *_: None)
    monkeypatch.setattr(explore, "_serve", lambda folder, port, spec: seen.update(folder=folder, spec=spec))
    assert main(["explore", "pca", "--no-browser"]) == 0
    assert seen["spec"] == {"stored": [("pca", c) for c in stored.CATEGORIES]}
    assert list(page.models(json.loads(json.dumps(seen["spec"])))) == ["pca · washer", "pca · board"]
    assert os.environ["JUPYTER_TOKEN"] == "secret" and not seen["folder"].exists()


def test_the_browser_is_given_a_private_file_and_not_the_token(monkeypatch, capsys):
    opened, folders = [], {}
    monkeypatch.setenv("JUPYTER_TOKEN", "secret&more")
    monkeypatch.setattr(explore, "has_display", lambda: True)
    monkeypatch.setattr(explore.socket, "create_connection", lambda *_, **__: socket.socket())
    monkeypatch.setattr(explore.threading, "Thread", _AtOnce)

    def look(uri):
        path = Path(url2pathname(urlparse(uri).path))
        opened.append((uri, path, path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777))

    monkeypatch.setattr(explore.webbrowser, "open", look)
    monkeypatch.setattr(explore, "_serve", lambda folder, port, spec: folders.update(served=folder))
    assert main(["explore", "pca"]) == 0
    (uri, path, content, mode), = opened
    assert uri.startswith("file:") and "secret" not in uri and "?token=secret&amp;more" in content
    assert os.name == "nt" or mode == 0o600
    assert folders["served"] not in path.parents and not path.exists()
    assert "?token=secret&more" in capsys.readouterr().out  # and the window shows it to who must copy it


class _AtOnce:
    """A thread that has done its work as soon as it is started."""

    def __init__(self, target, args, daemon):
        self.start = lambda: target(*args)


def test_the_lab_gives_its_browser_a_file_too():
    from jupyter_server.serverapp import ServerApp

    told = lab.arguments(Path("x"), 8888, "", True)
    assert ServerApp().use_redirect_file and not any("redirect_file" in a or "token" in a for a in told)


@pytest.mark.slow
def test_a_folder_is_fitted_and_its_files_are_named(tmp_path, monkeypatch):
    from PIL import Image

    from tutorial_lib.explorer.app import Explorer

    split = factory.split("washer", size=32, n_train=6, n_good=3, n_per_kind=1, seed=0)
    odd = "scratch" if os.name == "nt" else "<b>x$_$scratch"  # a folder may be called so, but not on Windows
    groups = ["train/good"] * 6 + [f"test/{kind}".replace("scratch", odd) for kind in split.kinds]
    for i, (group, image) in enumerate(zip(groups, [*split.train, *split.test], strict=True)):
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * image.permute(1, 2, 0).numpy()).astype(np.uint8)).save(
            tmp_path / group / f"{odd}{i:03d}.png")
    seen = {}
    monkeypatch.setattr(explore, "_announce", lambda *_: None)

    def look(folder, port, spec):
        seen["app"] = Explorer(page.models(spec))
        seen["study"] = seen["app"].desk.study

    monkeypatch.setattr(explore, "_serve", look)
    assert main(["explore", "pca", "--data", str(tmp_path), "--size", "32", "--no-browser"]) == 0
    assert len(seen["study"].names) == 15 and any("scratch" in name for name in seen["study"].names)
    seen["app"].open(next(i for i, name in enumerate(seen["study"].names) if f"{odd}/" in name))
    app = seen["app"]
    assert "<b>x" not in app.legend.value + app.text.value and app.card.value
    assert escape(odd) in app.legend.value and f"{escape(odd)}/{escape(odd)}" in app.text.value


# ---- stored detectors ----


def test_every_stored_file_is_small_and_is_the_one_on_the_card():
    import hashlib

    files = stored.card()["files"]
    assert set(files) == {f"{m}_{c}" for m, c in stored.names()}
    total = 0
    for name, entry in files.items():
        content = (stored.FOLDER / f"{name}.safetensors").read_bytes()
        total += len(content)
        assert len(content) == entry["bytes"] <= 1_000_000
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert total <= 8_000_000


def test_a_stored_detector_loads_and_an_exchanged_file_does_not(tmp_path, monkeypatch):
    assert stored.load("pca", "washer").history["images"] == 100
    with pytest.raises(stored.StoredError, match="no stored detector 'vae'"):
        stored.load("vae", "washer")
    name = "pca_washer.safetensors"
    (tmp_path / name).write_bytes((stored.FOLDER / name).read_bytes()[:-1] + b"x")
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    with pytest.raises(stored.StoredError, match=r"is not the file that .* describes"):
        stored.load("pca", "washer")


def test_other_backbone_weights_are_refused_with_the_cure(monkeypatch):
    from tutorial_lib.detectors.base import Detector

    monkeypatch.setattr(Detector, "backbone_label", property(lambda self: "embedded 00000000"))
    with pytest.raises(stored.StoredError, match=r"python -m tutorial_lib\.stored"):
        stored.load("mahalanobis", "washer")


@pytest.mark.slow
def test_the_stored_pca_is_what_its_seed_gives(tmp_path, monkeypatch):
    from tutorial_lib.stored import __main__ as script

    expected = stored.card()["files"]["pca_washer"]
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    entry = script.fit("pca", "washer")
    assert entry["auroc"] == expected["auroc"] and entry["parameters"] == expected["parameters"]


def test_the_script_refuses_a_method_that_is_none(capsys):
    from tutorial_lib.stored.__main__ import main as script

    assert script(["vae"]) == 2 and "no method 'vae'" in capsys.readouterr().err


def test_command_error_is_what_the_command_raises():
    with pytest.raises(CommandError, match="no model"):
        explore.run(["nothing", "--no-browser"])
