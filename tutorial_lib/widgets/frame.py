"""The frame around every widget: its question, a guess before the answer, and one sentence to complete at the end."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as w

from tutorial_lib.widgets.canvas import View

STYLE = {"description_width": "110px"}
WIDTH = {"width": "480px"}
PICTURE = {"width": "max-content", "max_width": "100%"}  # one pixel of the picture is one of the page: no blur


def framed(question: str, guesses: list[str], body: w.Widget, sentence: str, expected: Callable[[], float],
           tolerance: float) -> w.VBox:
    """Question, guess, then ``body`` (hidden until a guess is made or "show anyway" is pressed), then the sentence.

    Args:
        question: the one question that the widget settles.
        guesses: answers to choose from.
        body: controls and picture.
        sentence: text with one blank, to be completed by a number.
        expected: gives the right number for the present state.
        tolerance: how far off a number may be.
    """
    guess = w.Dropdown(options=["…", *guesses], description="Your guess", style=STYLE, layout=WIDTH)
    anyway = w.Button(description="Show anyway")
    blank = w.FloatText(value=0.0, description="Your number", style=STYLE, layout={"width": "240px"})
    said, reply = w.Button(description="Check it"), w.HTML()
    ending = w.VBox([w.HTML(sentence), w.HBox([blank, said]), reply])
    hidden = w.VBox([])

    def reveal(_=None) -> None:
        if not hidden.children:
            hidden.children = (body, ending)

    def judge(_=None) -> None:
        right = abs(blank.value - expected()) <= tolerance
        reply.value = live("✓ That is it." if right else "✗ Not this number. Read it off above, in this state, and "
                           "try again.")

    guess.observe(lambda change: reveal() if change["new"] != "…" else None, "value")
    anyway.on_click(reveal)
    said.on_click(judge)
    return w.VBox([w.HTML(f"<b>{question}</b>"), w.HBox([guess, anyway]), hidden])


def pictured(controls: list[w.Widget], view: Callable[[], View]) -> w.VBox:
    """``controls``, and below them the picture and the sentence of ``view()``, drawn anew when one of them moves."""
    image, text = w.Image(format="png", layout=PICTURE), w.HTML()

    def redraw(_=None) -> None:
        shown = view()
        image.value, text.value = shown.png, live(shown.alt)

    for control in controls:
        control.observe(redraw, "value")
    redraw()
    return w.VBox([*controls, image, text])


def live(text: str) -> str:
    """Text that a screen reader announces when it changes. It may hold names of files, so it is shown as it stands."""
    return f'<div aria-live="polite">{escape(text)}</div>'
