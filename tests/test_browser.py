"""A reader's first minutes in a real browser: open the course, run a chapter, move a slider; nothing leaves home."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
START_S, OPEN_MS, RUN_MS, CHANGE_MS = 90, 90_000, 300_000, 20_000
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
CELLS = ("window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells"
         ".filter(c => c.cell_type === 'code' && c.getSource().trim())")
ERRORS = f"{CELLS}.flatMap(c => c.outputs).filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)"
RAN = f"({ERRORS}.length || {CELLS}.every(c => c.execution_count > 0)) && {IDLE}"
PICTURES = "area => [...area.querySelectorAll('img')].filter(i => i.offsetParent && i.complete).map(i => i.src)"

SLIDER, REVEAL = ".widget-slider .noUi-handle", "button.widget-button:has-text('Show anyway')"

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of the browser on this machine; without one a skip, or where REQUIRE_BROWSER is set a failure."""
    for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    reason = "no Chromium on the PATH: install it (Debian: apt-get install chromium) or set CHROMIUM to its path"
    return pytest.fail(reason) if os.environ.get("REQUIRE_BROWSER") else pytest.skip(reason)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the project: JupyterLab saves what it opens, and saving writes the sources too."""
    copy = tmp_path_factory.mktemp("browser") / "the course"
    left_out = shutil.ignore_patterns(".*", "results", "*.egg-info", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=left_out)
    return copy


@pytest.fixture(scope="module")
def address(chromium, course, tmp_path_factory):
    """``python -m tutorial_lib lab`` without a browser; yields the address that it prints for the reader."""
    private = tmp_path_factory.mktemp("jupyter")
    env = os.environ | {f"JUPYTER{name}_DIR": str(private / name) for name in ("_CONFIG", "_DATA", "_RUNTIME")} | {
        "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces"), "JUPYTERLAB_SETTINGS_DIR": str(private / "settings"),
        "IPYTHONDIR": str(private / "ipython"), "FLOW_COURSE_PROGRESS": str(private / "progress.json"),
        "PYTHONUNBUFFERED": "1"}
    env.pop("MPLBACKEND", None)
    (private / "_CONFIG").mkdir()        # lets the test ask JupyterLab's page what it is doing
    (private / "_CONFIG" / "jupyter_lab_config.json").write_text('{"LabApp": {"expose_app_in_browser": true}}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = private / "lab.log"
    with log.open("w") as out:
        lab = subprocess.Popen([sys.executable, "-m", "tutorial_lib", "lab", "--no-browser", "--port", str(port)],
                               cwd=course, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield wait_for_address(lab, log, port)
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(30)


def wait_for_address(lab: subprocess.Popen, log: Path, port: int) -> str:
    """The printed address with its token, once the server answers."""
    for _ in range(START_S * 5):
        printed = re.search(rf"http://(?:127\.0\.0\.1|localhost):{port}/\S*token=\w+", log.read_text())
        if printed and socket.socket().connect_ex(("127.0.0.1", port)) == 0:
            return printed[0]
        if lab.poll() is not None:
            break
        try:
            lab.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    return pytest.fail(f"JupyterLab did not start, or printed no address:\n{log.read_text()[-3000:]}")


@pytest.fixture
def page(chromium):
    """A page that notes and refuses every request that leaves the machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1250, "height": 1000})
        page.refused, page.complaints = [], []

        def gate(route):
            if re.match(r"(https?://(127\.0\.0\.1|localhost):|data:|blob:)", route.request.url):
                return route.continue_()
            page.refused.append(route.request.url)
            return route.abort()

        page.route("**/*", gate)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page
        browser.close()


def chapter() -> str:
    """The chapter to walk through: the one with the flow microscope, or the first there is."""
    stems = sorted(p.stem for p in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not stems:
        pytest.skip("no notebook is built yet")
    return next((s for s in stems if s.startswith("05")), stems[0])


def test_a_reader_opens_runs_and_turns_a_slider(page, address, tmp_path):
    name = chapter()
    base, token = re.match(r"(http://[^/]+)/.*?token=(\w+)", address).groups()
    page.goto(f"{base}/lab/tree/notebooks/{name}.ipynb?reset&token={token}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=OPEN_MS)
    page.wait_for_function(IDLE, timeout=OPEN_MS)
    page.wait_for_timeout(1500)
    page.screenshot(path=tmp_path / "opened.png")
    assert page.locator(".jp-Dialog:visible, .Toastify__toast:visible").count() == 0, "a question greets the newcomer"

    page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.click("#jp-MainMenu >> text=Run")
    page.click(".lm-Menu-item[data-command='notebook:run-all-cells'], .lm-Menu-item[data-command='runmenu:run-all']")
    page.wait_for_function(RAN, timeout=RUN_MS)
    assert page.evaluate(ERRORS) == []

    scroll_until(page, f"{SLIDER}, {REVEAL}")
    if not page.locator(SLIDER).count():          # the widget waits for a guess, or for this button
        page.locator(REVEAL).first.press("Enter")
    handle = page.locator(SLIDER).first
    handle.wait_for(timeout=CHANGE_MS)
    handle.scroll_into_view_if_needed()
    area = handle.locator("xpath=ancestor::*[contains(@class,'jp-OutputArea')][1]").element_handle()
    before, value = area.evaluate(PICTURES), handle.get_attribute("aria-valuenow")
    assert before, "the slider has no picture beside it"
    page.screenshot(path=tmp_path / "before.png")
    handle.focus()
    for _ in range(3):
        handle.press("ArrowLeft" if value == handle.get_attribute("aria-valuemax") else "ArrowRight")
    assert handle.get_attribute("aria-valuenow") != value
    page.wait_for_function(f"([area, before]) => ({PICTURES})(area).join() !== before",
                           arg=[area, ",".join(before)], timeout=CHANGE_MS)
    page.screenshot(path=tmp_path / "after.png")
    assert page.refused == [], "these requests would have left the machine"
    assert page.complaints == []
    print(f"{name}: screenshots in {tmp_path}")


def scroll_until(page, selector: str):
    """Scroll down until ``selector`` is on the page: cells off the screen are not rendered before they were seen."""
    panel = page.locator(".jp-NotebookPanel .jp-WindowedPanel-outer").first
    for step in range(100):
        panel.evaluate("(e, y) => { e.scrollTop = y; }", step * 600)
        page.wait_for_timeout(150)
        if page.locator(selector).count():
            return
    pytest.fail(f"nothing in the notebook matches {selector}")
