"""The explorer as widgets: thin controls around ``Desk``. Everything works by mouse, keyboard, and without sight.

    explorer({"fastflow · washer": lambda: study})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import ipywidgets as w
import torch

from tutorial_lib.plots import explorer as pictures
from tutorial_lib.plots import style
from tutorial_lib.widgets.frame import PICTURE, STYLE, live

from .desk import PLANES, Desk
from .places import cell_at, pixel_of
from .scatter import Scatter
from .study import Study
from .walker import Walker, walker
from .walks import coder_of, decodes, digits_coder, why_not

ALL = "all scales together"
FIELD = {"width": "330px"}
MARKS = ("●", "▲", "■", "◆")
PHOTO = 300  # CSS pixels of the picture to click into
KEY = ("Orange outline: the true defect, where it is known. Cross: the place to blame. Heat map: yellow is strange. "
       "Orange bar: the part that adds most to the score; a bar's length is in spreads of its part in normal images.")


class Explorer:
    """Choose a model, choose a point, look. ``widget`` is what a notebook shows; ``open(index)`` opens an image.

    Args:
        models: label to a function that makes the study; called when the label is first chosen.
        where: what to call the chapters that explain the panels, as HTML such as links; by default their numbers.

    Names of files, folders and detectors reach HTML escaped: a picture's name must not run as a script.
    """

    def __init__(self, models: Mapping[str, Callable[[], Study]], where: Callable[[str, str], str] | None = None):
        style.use()
        self.models, self.desks = dict(models), {}
        self.where = where or (lambda number, words: f"{words} (chapter {number})")
        self.model = w.Dropdown(options=list(self.models), description="model", style=STYLE, layout=FIELD)
        self.kind = w.Dropdown(options=PLANES, value=PLANES[1], description="map", style=STYLE, layout=FIELD)
        self.scale = w.Dropdown(options=[(ALL, -1)], description="map of", style=STYLE, layout=FIELD)
        self.number = w.BoundedIntText(0, 0, 0, description="image number", style=STYLE, layout=FIELD)
        self.rank = w.IntSlider(1, 1, 1, description="or by rank", style=STYLE, layout=FIELD, continuous_update=False)
        self.map = Scatter(size=[460, 380])
        self.legend, self.note, self.numbers, self.text = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.card = w.Image(format="png", layout=PICTURE)
        self.photo = Scatter(size=[PHOTO, PHOTO])
        self.at = w.Dropdown(options=[("", 0)], description="scale", style=STYLE, layout=FIELD)
        self.row, self.col = (w.BoundedIntText(0, 0, 0, description=name, style=STYLE, layout={"width": "240px"})
                              for name in ("row of cells", "column"))
        self.place, self.place_text = w.Image(format="png", layout=PICTURE), w.HTML()
        self.places, self.walking, self.shapes = w.VBox(), w.VBox(), w.VBox()
        self.looks = w.ToggleButton(False, description="Are they N(0, I)? Show the shapes", layout={"width": "300px"})
        self._busy = False
        self._watch()
        side = w.VBox([self.model, self.kind, self.scale, self.number, self.rank, self.legend, self.text,
                       self.note],
                      layout={"max_width": "640px", "flex": "1 1 400px", "padding": "0 0 0 14px"})
        self.widget = w.VBox([w.HBox([self.map, side], layout={"flex_flow": "row wrap"}), self.card,
                              w.HTML(f"<div>{KEY}</div>"), self.places, self.numbers, self.looks, self.shapes,
                              self.walking])
        self._choose_model()

    # -- what follows what ---------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self.model.observe(lambda _: self._choose_model(), "value")
        self.looks.observe(lambda _: self._draw_shapes(), "value")
        for control in (self.kind, self.scale):
            control.observe(lambda _: self._draw_map(), "value")
        self.map.observe(lambda change: self.open(change["new"]), "selected")
        self.number.observe(lambda change: self.open(change["new"]), "value")
        self.rank.observe(lambda change: self.open(int(self._order[change["new"] - 1])), "value")
        self.at.observe(lambda _: self._draw_photo(), "value")
        self.photo.observe(lambda change: self._open_cell(change["new"]), "selected")
        for control in (self.row, self.col):
            control.observe(lambda _: self._open_cell(self.row.value * self._cells[1] + self.col.value), "value")

    @property
    def desk(self) -> Desk:
        """The desk of the chosen model, made when it is first needed."""
        name = self.model.value
        if name not in self.desks:
            study = self.models[name]()
            study, masks = study if isinstance(study, tuple) else (study, None)
            self.desks[name] = Desk(study, masks)
        return self.desks[name]

    def _choose_model(self) -> None:
        if self._busy:
            return
        self.text.value, self.note.value = "", f"<b>Loading {escape(self.model.value)} …</b>"  # shown meanwhile
        study = self.desk.study
        n = len(study.names)
        self._order = study.scores.argsort(descending=True)
        self._busy = True
        self.scale.options = [(ALL, -1), *((name, k) for k, name in enumerate(study.scales))]
        self.scale.value = -1
        self.map.selected = -1
        self.number.max, self.rank.max = n - 1, n
        self.at.options = [(name, k) for k, name in enumerate(study.scales)]
        self.at.value = 0
        self._busy = False
        marks = " ".join(f'<span style="white-space:nowrap;margin-right:10px"><span style="color:{c}">'
                         f'{"○" if hollow else MARKS[shape]}</span> {escape(group)}</span>'
                         for group, (c, shape, _, hollow) in self.desk.looks.items())
        self.legend.value = f'<div style="line-height:1.6">{marks}</div>'
        self.note.value = spaced(escape(why_not(study.detector)))
        self._lay_out_panels()
        self._draw_map()
        self.open(int(self._order[0]), force=True)

    def _lay_out_panels(self) -> None:
        study = self.desk.study
        if any(study.has_positions(k) for k in range(len(study.scales))):
            self.places.children = [
                w.HTML(f"<b>Click a place</b> in this picture: {self.where('09', 'one vector per position')}."),
                w.HBox([self.photo, w.VBox([self.at, self.row, self.col, self.place])],
                       layout={"flex_flow": "row wrap"}), self.place_text]
        else:
            self.places.children = [w.HTML(f"<b>No place to click:</b> {escape(study.detector.name)} keeps no "
                                           f"positions. One vector stands for the image: "
                                           f"{self.where('08', 'what pooling loses')}.")]
        if decodes(study.detector):
            pure = Walker(coder_of(study.detector), study.images, study.names)
            head = f"<b>Walk</b> from one image to another: {self.where('12', 'a flow on pyramids of pixels')}."
            self.walking.children = [w.HTML(head), walker(pure, 0, int(self._order[0]))]
        else:
            self.walking.children = [w.HTML(f"<b>Walk</b> from one image to another: {escape(study.detector.name)} has "
                                            "no way back to pixels. A flow that has one, on pictures of digits: "
                                            f"{self.where('06', 'flows that paint')}."), self._digits()]

    def _digits(self) -> w.Widget:
        if not hasattr(self, "_digit_walker"):
            from tutorial_lib.widgets import picture_flows

            x = picture_flows.pictures(60, seed=1)
            self._digit_walker = walker(Walker(digits_coder(), x, [f"digit {i}" for i in range(len(x))]))
        return self._digit_walker

    # -- drawing ------------------------------------------------------------------------------------------------

    def _draw_map(self) -> None:
        if self._busy:
            return
        desk, study = self.desk, self.desk.study
        points, axes = desk.on_screen(self.kind.value, None if self.scale.value < 0 else self.scale.value)
        order = list(desk.looks)
        self.map.looks = [list(look) for look in desk.looks.values()]
        self.map.label = (f"Map of {len(study.names)} images, {self.model.value}. Across: {axes[0]}; upwards: {axes[1]}"
                          ". Arrow keys move, Enter opens.")
        self.map.show(points, [order.index(g) for g in study.groups], study.names)
        scale = max(0, self.scale.value)
        n = desk.numbers(scale)
        promise = "" if study.promises_normal else f" {study.detector.name} makes no such promise."
        near = f"; neighbouring positions correlate by {n['neighbours']:.2f}" if "neighbours" in n else ""
        self.numbers.value = (
            f"<div>{escape(f'Across: {axes[0]}. Upwards: {axes[1]}.')}<br>Held-out normal images against N(0, I), "
            f"{escape(study.scales[scale])}: mean {n['mean']:+.2f}, deviation {n['std']:.2f}, "
            f"{n['beyond 3']:.1%} beyond ±3 (theory 0.3%); ‖z‖² off χ² by {n['chi2']:.2f} (0 fits, 1 is no overlap); "
            f"mean |correlation| {n['mean |r|']:.2f}{near}.{escape(promise)}</div>")
        self._draw_shapes()

    def _draw_shapes(self) -> None:
        """Marginals, QQ plots and correlations; half a second, so only where they are asked for."""
        if not self.looks.value:
            self.shapes.children = ()
            return
        view = self.desk.shapes(max(0, self.scale.value))
        why = self.where("07", "why a latent should be N(0, I)")
        self.shapes.children = (w.HTML(f"<div>{escape(view.alt)} {why}.</div>"),
                                w.Image(value=view.png, format="png", layout=PICTURE))

    def open(self, index: int, force: bool = False) -> None:
        """Show the card of image ``index``; a number that is no image is ignored."""
        if (self._busy and not force) or not 0 <= index < len(self.desk.study.names):
            return
        self._busy = True
        try:
            view = self.desk.card(index)
            self.card.value, self.text.value = view.png, spaced(live(view.alt))  # first what was asked for
            self.map.selected = self.number.value = index
            self.rank.value = int((self._order == index).nonzero()[0]) + 1
            self._index, self._spot = index, (view.numbers["row"], view.numbers["column"])
            if self.desk.study.has_positions(int(view.numbers["scale"])):
                self.at.value = int(view.numbers["scale"])
        finally:
            self._busy = False
        self._draw_photo()

    def _draw_photo(self) -> None:
        study = self.desk.study
        if self._busy or not study.has_positions(self.at.value or 0):
            return
        h, w_ = self._cells = tuple(study.latents[self.at.value].shape[2:])
        rows, cols = torch.meshgrid(torch.arange(h), torch.arange(w_), indexing="ij")
        centres = torch.stack([(cols.flatten() + 0.5) / w_, 1 - (rows.flatten() + 0.5) / h], dim=1)
        names = [f"cell ({r}, {c})" for r in range(h) for c in range(w_)]
        self._busy = True
        self.photo.looks, self.photo.cell = [[style.BLACK, 0, 0, False]], [1 / w_, 1 / h]
        self.photo.label = f"The picture as {h} rows of {w_} cells. Arrow keys move, Enter opens a cell."
        with self.photo.hold_sync():
            self.photo.picture = _png(study.images[self._index])
            self.photo.kinds, self.photo.names = bytes(h * w_), names
            self.photo.points = centres.float().numpy().tobytes()
        self.row.max, self.col.max = h - 1, w_ - 1
        self._busy = False
        row, col = cell_at(*self._spot, study.images.shape[2:], self._cells)
        self._open_cell(row * w_ + col)

    def _open_cell(self, cell: int) -> None:
        if self._busy or cell < 0 or not self.desk.study.has_positions(self.at.value):
            return
        self._busy = True
        try:
            row, col = divmod(cell, self._cells[1])
            self.photo.selected, self.row.value, self.col.value = cell, row, col
            self._spot = pixel_of((row, col), self.desk.study.images.shape[2:], self._cells)
            view = self.desk.place(self._index, self.at.value, (row, col))
            self.place.value, self.place_text.value = view.png, live(view.alt)
        finally:
            self._busy = False


def explorer(models: Mapping[str, Callable[[], Study]], where: Callable[[str, str], str] | None = None) -> w.VBox:
    """The explorer of some models, ready to be shown; see ``Explorer``."""
    return Explorer(models, where).widget


def spaced(html: str) -> str:
    """Lines at the distance of running text; a widget's own lines stand as far apart as buttons."""
    return f'<div style="line-height:1.4">{html}</div>'


def _png(image: torch.Tensor) -> bytes:
    import io

    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.round(255 * pictures.as_picture(image)).astype(np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return buffer.getvalue()
