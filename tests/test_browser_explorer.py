"""The explorer's page in a real browser: a click among 2,000 images answers (``-s`` prints how fast),
keys work, nothing leaves."""

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_browser import chromium, page  # noqa: F401  fixtures

from tutorial_lib import stored
from tutorial_lib.data import factory

pytestmark = [pytest.mark.slow, pytest.mark.browser]
ROOT = Path(__file__).resolve().parents[1]
IMAGES, CLICKS, OPEN_MS = 2000, 11, 300_000
PICTURES = "() => [...document.querySelectorAll('.widget-image')].slice(0, 2).map(i => i.src)"  # card, place
LISTEN = "c => c.addEventListener('click', () => { window.clicked = performance.now(); }, true)"
ANSWERED = """before => new Promise(done => {
  const seen = [0, 0], look = () => {
    [...document.querySelectorAll('.widget-image')].slice(0, 2).forEach((i, k) => {
      if (!seen[k] && i.src !== before[k] && i.complete && i.naturalWidth) seen[k] = performance.now(); });
    if (seen[0] && seen[1]) done(seen); else requestAnimationFrame(look); };
  look(); })"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """2,000 pictures in the layout of MVTec AD: 100 washers of the factory and copies in other light."""
    root, split = tmp_path_factory.mktemp("pictures"), factory.split("washer", 64, 25, 51, 4, seed=3)
    rng, groups = np.random.default_rng(0), ["train/good"] * 25 + [f"test/{kind}" for kind in split.kinds]
    images = (255 * np.concatenate([split.train, split.test]).transpose(0, 2, 3, 1)).round()
    for i in range(IMAGES):
        k = i % len(images)
        (place := root / groups[k]).mkdir(parents=True, exist_ok=True)
        light = np.clip(images[k] * rng.uniform(0.93, 1.07) + rng.normal(0, 2, images[k].shape), 0, 255)
        Image.fromarray(light.astype(np.uint8)).save(place / f"{i:04d}.png")
    (root / "secret.png").write_bytes((root / groups[0] / "0000.png").read_bytes())
    return root


@pytest.fixture(scope="module")
def address(folder, tmp_path_factory):
    """``python -m tutorial_lib explore FILE --data DIR`` without a browser; yields the printed address."""
    private = tmp_path_factory.mktemp("page")
    env = os.environ | {f"JUPYTER_{name}_DIR": str(private / name) for name in ("CONFIG", "RUNTIME")} | {
        "IPYTHONDIR": str(private / "ipython"), "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    env.pop("MPLBACKEND", None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = private / "page.log"
    command = [sys.executable, "-m", "tutorial_lib", "explore", str(stored.file_of("fastflow", "washer")), "--data",
               str(folder), "--no-browser", "--port", str(port)]
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=private, env=env, stdout=out, stderr=subprocess.STDOUT,
                                  start_new_session=True)
    try:
        for _ in range(900):
            if printed := re.search(rf"http://127\.0\.0\.1:{port}/\?token=\w+", log.read_text()):
                break
            assert server.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
        yield printed[0]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_a_click_answers_with_two_thousand_images(page, address, tmp_path):  # noqa: F811
    page.goto(address, wait_until="commit", timeout=OPEN_MS)
    canvas = page.locator(".flow-scatter canvas").first
    canvas.wait_for(timeout=OPEN_MS)
    page.wait_for_timeout(3000)
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    number = page.locator("input[type=number]").first
    assert int(number.get_attribute("max") or IMAGES - 1) == IMAGES - 1

    canvas.evaluate(LISTEN)
    took, rng, box, tip = [], np.random.default_rng(1), canvas.bounding_box(), page.locator(".flow-scatter .tip").first
    opened = ""
    for _ in range(2000):
        x, y = box["x"] + box["width"] * rng.uniform(0.02, 0.98), box["y"] + box["height"] * rng.uniform(0.02, 0.98)
        page.mouse.move(x, y)
        if not tip.is_visible() or (name := tip.text_content()) == opened:
            continue  # no point here, or the one that is open
        before = page.evaluate(PICTURES)
        page.mouse.click(x, y)
        took.append([t - page.evaluate("window.clicked") for t in page.evaluate(ANSWERED, before)])
        opened = name
        page.wait_for_timeout(300)
        if len(took) == CLICKS:
            break
    assert len(took) == CLICKS
    card, place = (statistics.median(times) for times in zip(*took, strict=True))
    print(f"click to the card: median {card:.0f} ms; to the place below it: {place:.0f} ms; {took}; {tmp_path}")

    canvas.focus()
    before, was = page.evaluate(PICTURES), number.input_value()
    for _ in range(3):
        canvas.press("ArrowLeft")
    assert "Enter opens it" in page.locator(".flow-scatter .said").first.text_content()
    canvas.press("Enter")
    page.evaluate(ANSWERED, before)
    assert number.input_value() != was
    assert page.refused == [], "these requests would have left the machine"
    assert page.complaints == []


def test_without_the_token_and_outside_the_page_nothing_is_served(address, folder):
    base, token = re.match(r"(http://[^?]+)\?token=(\w+)", address).groups()
    with urllib.request.urlopen(base) as reply:      # sent to the login page
        assert "flow-scatter" not in reply.read().decode() and "login" in reply.url
    for path in ("secret.png", "explorer.ipynb", "../secret.png", f"..{folder}/secret.png"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{base}voila/files/{path}?token={token}")
        assert refused.value.code in (403, 404)
