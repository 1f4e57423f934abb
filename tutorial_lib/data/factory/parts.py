"""Components of the circuit board, each drawn around its own origin with its shadow, its leads and its print.

A drawing takes the canvas at the part's place, the part's name, the direction of the light, and a fault or None.
Pads and print belong to the board and stay; what is painted through ``body`` moves or breaks with the part.
"""

from __future__ import annotations

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas
from tutorial_lib.data.factory.faults import Fault
from tutorial_lib.data.factory.glyphs import text
from tutorial_lib.data.factory.shapes import annulus, box, disc, row_of

SOLDER = np.array([0.46, 0.48, 0.48], np.float32)
LEAD = np.array([0.54, 0.55, 0.56], np.float32)
BLACK = np.array([0.095, 0.095, 0.105], np.float32)
INK = np.array([0.60, 0.66, 0.62], np.float32)
GREY_PRINT = np.array([0.36, 0.37, 0.37], np.float32)
TAN = np.array([0.62, 0.48, 0.32], np.float32)


def shade(canvas: Canvas, shape, half, lamp: float, height: float) -> None:
    """The shadow that a part of this height throws away from the light."""
    angle = lamp + np.pi - canvas.pose.angle
    canvas.at(height * np.cos(angle), height * np.sin(angle)).paint(shape, half, (0.01, 0.06, 0.03), 0.55, soft=0.03)


def block(canvas: Canvas, half, colour, lamp: float, corner: float = 0.008, rim: float = 0.018) -> None:
    """A moulded body: a flat top and chamfers that are light towards the lamp and dark away from it."""
    turn = lamp - canvas.pose.angle
    towards = np.array([np.cos(turn), np.sin(turn)], np.float32)

    def chamfer(under, u, v, distance):
        right = np.abs(u) - half[0] > np.abs(v) - half[1]
        facing = np.where(right, np.sign(u) * towards[0], np.sign(v) * towards[1])
        return colour * (1 + 0.75 * facing)[..., None] + 0.03 * np.maximum(facing, 0)[..., None]

    canvas.paint(box(*half, corner), half, chamfer)
    top = (half[0] - rim, half[1] - rim)
    canvas.paint(box(*top, corner), top,
                 lambda under, u, v, d: colour * (1.25 + 0.5 * (u * towards[0] + v * towards[1]))[..., None])


def quad(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    """A square package with leads on four sides."""
    for side in range(4):
        leads = canvas.at(0, 0, side * np.pi / 2).at(0, 0.235)
        leads.paint(row_of(box(0.011, 0.030, 0.003), 12, 0.034), (0.22, 0.03), SOLDER)
    shade(canvas, box(0.21, 0.21, 0.01), (0.21, 0.21), lamp, 0.02)
    block(canvas, (0.21, 0.21), BLACK, lamp, 0.012)
    canvas.at(-0.155, -0.155).paint(disc(0.018), (0.02, 0.02), GREY_PRINT * 0.6)
    text(canvas.at(0, -0.045), "FLOW", 0.075, GREY_PRINT)
    text(canvas.at(0, 0.060), name + "-32F4", 0.050, GREY_PRINT)


def dual(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    """A package with leads on two sides."""
    text(canvas.at(0, -0.215), name, 0.045, INK)
    for side in (-1, 1):
        pads = row_of(box(0.016, 0.034, 0.004), 7, 0.046)
        canvas.at(side * 0.135, 0, np.pi / 2).paint(pads, (0.16, 0.035), SOLDER * 0.9)
    body = fault.moved(canvas, (0.15, 0.17)) if fault else canvas
    shade(body, box(0.10, 0.165, 0.01), (0.10, 0.165), lamp, 0.02)
    for side in (-1, 1):
        body.at(side * 0.118, 0, np.pi / 2).paint(row_of(box(0.010, 0.028, 0.002), 7, 0.046), (0.16, 0.03), LEAD)
    block(body, (0.10, 0.165), BLACK, lamp)
    body.at(-0.06, -0.125).paint(disc(0.014), (0.02, 0.02), GREY_PRINT * 0.6)
    text(body.at(0.005, 0, np.pi / 2), "N17C", 0.055, GREY_PRINT)


def can(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    """An electrolytic capacitor: a metal can with a dark sector for the minus pole."""
    radius = 0.115 if name == "C1" else 0.09
    canvas.paint(annulus(radius + 0.018, radius + 0.026), (radius + 0.03,) * 2, INK, 0.9)
    for side in (-1, 1):
        canvas.at(side * radius * 0.6, 0).paint(box(0.04, 0.028, 0.004), (0.04, 0.03), SOLDER * 0.9)
    body = fault.moved(canvas, (radius * 1.1, radius * 1.1)) if fault else canvas
    shade(body, disc(radius), (radius, radius), lamp, 0.035)
    turn = lamp - body.pose.angle

    def metal(under, u, v, d):
        around = np.arctan2(v, u)
        rim = np.clip(1 + d / (0.22 * radius), 0, 1)                 # 1 on the rounded rim, 0 on the flat top
        light = 0.62 + 0.20 * rim * np.cos(around - turn) + 0.05 * np.cos(2 * (around - turn))
        light = np.where(u < -0.45 * radius, 0.30 * light, light)
        return light[..., None] * np.array([0.98, 0.99, 1.02], np.float32)

    body.paint(disc(radius), (radius, radius), metal)
    text(body.at(0.1 * radius, 0), "47", 0.06, (0.25, 0.25, 0.27))


def crystal(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    """A quartz in its rounded metal case."""
    text(canvas.at(0, 0.105), name, 0.045, INK)
    for side in (-1, 1):
        canvas.at(side * 0.09, 0).paint(disc(0.026), (0.03, 0.03), SOLDER * 0.9)
    body = fault.moved(canvas, (0.15, 0.07)) if fault else canvas
    shade(body, box(0.145, 0.06, 0.06), (0.145, 0.06), lamp, 0.025)
    turn = lamp - body.pose.angle

    def metal(under, u, v, d):
        rim = np.clip(1 + d / 0.022, 0, 1) * np.sign(v) * np.sin(turn)
        return (0.66 + 0.22 * rim + 0.5 * (u * np.cos(turn) + v * np.sin(turn)))[..., None] * np.ones(3, np.float32)

    body.paint(box(0.145, 0.06, 0.06), (0.145, 0.06), metal)
    text(body, "16.0", 0.05, (0.30, 0.30, 0.31))


def coil(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    """A shielded inductor: a grey block with a round core."""
    text(canvas.at(-0.135, 0.0, -np.pi / 2), name, 0.045, INK)
    for side in (-1, 1):
        canvas.at(0, side * 0.095).paint(box(0.06, 0.022, 0.004), (0.06, 0.03), SOLDER * 0.9)
    body = fault.moved(canvas, (0.10, 0.10)) if fault else canvas
    shade(body, box(0.095, 0.095, 0.02), (0.095, 0.095), lamp, 0.025)
    block(body, (0.095, 0.095), np.array([0.24, 0.24, 0.25], np.float32), lamp, 0.02)
    body.paint(disc(0.066), (0.07, 0.07), (0.16, 0.16, 0.17))
    text(body, "100", 0.05, (0.62, 0.62, 0.60))


def _chip(canvas: Canvas, name: str, lamp: float, colour, mark: str) -> None:
    """A two-pole chip component with soldered ends and its name beside it."""
    upright = abs(np.sin(canvas.pose.angle)) > 0.7
    beside = canvas.at(0, 0.055) if not upright else canvas.at(0, -0.055)
    text(beside, name, 0.035, INK)
    for side in (-1, 1):
        canvas.at(side * 0.042, 0).paint(box(0.022, 0.028, 0.004), (0.03, 0.03), SOLDER * 0.92)
    shade(canvas, box(0.045, 0.023), (0.045, 0.023), lamp, 0.01)
    canvas.paint(box(0.047, 0.024, 0.003), (0.05, 0.03), LEAD)
    block(canvas, (0.032, 0.024), colour, lamp, 0.002, 0.005)
    if mark:
        text(canvas, mark, 0.026, INK)


def resistor(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    _chip(canvas, name, lamp, BLACK, "103")


def capacitor(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    _chip(canvas, name, lamp, TAN, "")


def diode(canvas: Canvas, name: str, lamp: float, fault: Fault | None = None) -> None:
    """A light-emitting diode, off: a milky lens with a green dot for the cathode."""
    _chip(canvas, name, lamp, np.array([0.74, 0.72, 0.60], np.float32), "")
    canvas.at(0.02, 0).paint(box(0.004, 0.014), (0.006, 0.016), (0.20, 0.50, 0.25))
