"""Laws of the builder: the same source gives the same bytes, stale files are named, nothing personal is stored."""

import json
import os
import textwrap
from pathlib import Path

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class
from nbformat.v4 import new_output

import build
import cutting
import running

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = '''# ---
# jupyter:
#   kernelspec:
#     display_name: Of somebody else
#     name: elsewhere
# ---

# %% [markdown]
# # A tiny chapter
#
# With $x^2$ and a table.

# %%
import random
{3, 1, 2}

# %%
from IPython.display import Image, display
from ipywidgets import IntSlider
slider = IntSlider(3)
slider

# %% tags=["nbval-ignore-output"]
import time
print(f"{time.time_ns()} ns since 1970")
'''
SOLUTION = '''# %% [markdown]
# Write `double`.

# %%
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %%
try:
    print(double(2))
except NotImplementedError as missing:
    print(missing)

# %% [markdown] tags=["solution"]
# Doubling is adding once.
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of one chapter and one solution, built."""
    root = tmp_path_factory.mktemp("a project")       # the space is meant
    for kind, text in (("chapters", CHAPTER), ("solutions", SOLUTION)):
        folder = root / "course" / kind
        folder.mkdir(parents=True)
        (folder / "05_tiny.py").write_text(text)
    (root / "jupytext.toml").write_text((ROOT / "jupytext.toml").read_text())
    build.build(root, [])
    return root


def notebook(project: Path, folder: str) -> nbformat.NotebookNode:
    nb = nbformat.read(project / folder / "05_tiny.ipynb", as_version=4)
    nbformat.validate(nb)
    return nb


@pytest.mark.slow
def test_every_kind_is_built(project):
    built = sorted(p.relative_to(project).as_posix() for p in project.rglob("*.ipynb"))
    assert built == ["exercises/05_tiny.ipynb", "notebooks/05_tiny.ipynb", "solutions/05_tiny.ipynb"]


@pytest.mark.slow
def test_a_rebuild_gives_no_diff(project):
    before = {p: p.read_bytes() for p in project.rglob("*.ipynb")}
    build.build(project, [])
    assert {p: p.read_bytes() for p in project.rglob("*.ipynb")} == before


@pytest.mark.slow
def test_a_report_on_the_machine_changes_only_when_its_words_do(project):
    source, built = (project / p for p in ("course/chapters/05_tiny.py", "notebooks/05_tiny.ipynb"))
    text, stored = source.read_text(), built.read_bytes()
    said = notebook(project, "notebooks").cells[-1].outputs[0].text
    nb = notebook(project, "notebooks")
    nb.cells[-1].outputs[0].text = said.replace("since", "after")       # as an older version of the library put it
    nbformat.write(nb, built)
    try:
        build.build(project, ["05"])
        renewed = notebook(project, "notebooks").cells[-1].outputs[0].text
    finally:
        source.write_text(text)
        built.write_bytes(stored)
    assert "since" in renewed and renewed != said


def test_a_stream_is_stored_in_one_piece():
    pieces = [new_output("stream", text=t) for t in ("a", "b")] + [
        new_output("display_data"), new_output("stream", text="c"), new_output("stream", name="stderr", text="d")]
    whole = running.joined(pieces)
    assert [o.get("text") for o in whole] == ["ab", None, "c", "d"]


def test_outputs_are_kept_and_widgets_leave_a_sentence(project):
    outputs = [c.outputs for c in notebook(project, "notebooks").cells if c.cell_type == "code"]
    assert outputs[0][0].data["text/plain"] == "{1, 2, 3}"
    assert outputs[1][0].data == {"text/plain": running.WIDGET_TEXT}


@pytest.mark.parametrize("folder", ["notebooks", "exercises", "solutions"])
def test_only_shared_metadata_is_stored(project, folder):
    nb = notebook(project, folder)
    assert nb.metadata == build.METADATA
    assert all(set(c.metadata) <= {"tags"} for c in nb.cells)


def test_the_exercise_is_blank_and_was_not_run(project):
    nb = notebook(project, "exercises")
    text = "\n".join(c.source for c in nb.cells)
    assert "2 * x" not in text and "adding once" not in text and "SOLUTION" not in text
    assert 'raise NotImplementedError("double: your code here")' in text
    assert all(c.execution_count is None and not c.outputs for c in nb.cells if c.cell_type == "code")


def test_the_solution_keeps_its_markers_and_its_output(project):
    nb = notebook(project, "solutions")
    assert cutting.BEGIN in nb.cells[1].source
    assert nb.cells[2].outputs[0].text == "4\n"


def test_an_exercise_cell_keeps_the_id_of_its_solution(project):
    solved = {c.id for c in notebook(project, "solutions").cells}
    assert {c.id for c in notebook(project, "exercises").cells} <= solved


def test_check_is_quiet_when_all_is_current(project):
    assert build.check(project, []) == []


@pytest.mark.parametrize(("kind", "old", "new", "stale"), [
    ("chapters", "A tiny", "A small", ["notebooks"]),
    ("solutions", "2 * x", "x + x", ["exercises", "solutions"]),
    ("solutions", 'tags=["solution"]', 'tags=["other"]', ["exercises", "solutions"]),
])
def test_check_names_what_an_edit_made_stale(project, kind, old, new, stale):
    source = project / "course" / kind / "05_tiny.py"
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    try:
        problems = build.check(project, [])
    finally:
        source.write_text(text)
    assert [p.split("/")[0] for p in problems] == stale


def test_check_names_a_run_that_was_not_stored_and_a_file_without_source(project):
    path = project / "notebooks" / "05_tiny.ipynb"
    kept = path.read_text()
    nb = nbformat.reads(kept, as_version=4)
    nb.cells[1].execution_count = None
    nbformat.write(nb, path)
    (project / "solutions" / "99_gone.ipynb").write_text(kept)
    try:
        problems = build.check(project, [])
    finally:
        path.write_text(kept)
        (project / "solutions" / "99_gone.ipynb").unlink()
    assert [p.split(" ")[0] for p in problems] == ["notebooks/05_tiny.ipynb", "solutions/99_gone.ipynb"]


def jupyterlab(project: Path):
    """The part of JupyterLab that opens and saves notebooks, with the pairing of this project."""
    return build_sync_jupytext_contents_manager_class(LargeFileManager)(root_dir=str(project))


def test_building_lays_the_source_out_as_jupyterlab_saves_it(project):
    text = (project / "course" / "chapters" / "05_tiny.py").read_text()
    assert text != CHAPTER and text == CHAPTER[CHAPTER.index("# %% [markdown]"):]


def test_check_names_a_source_that_jupyterlab_would_write_differently(project):
    source = project / "course" / "solutions" / "05_tiny.py"
    text = source.read_text()
    source.write_text(text.replace("\n\n\n# %%", "\n\n# %%"))
    try:
        problems = build.check(project, [])
    finally:
        source.write_text(text)
    assert [p.split(" ")[0] for p in problems] == ["course/solutions/05_tiny.py"]


@pytest.mark.parametrize("hours", [-1, 1])
def test_jupyterlab_opens_a_notebook_whatever_the_files_ages(project, hours):
    """A checkout gives files any order of age, and jupytext refuses an old source that differs in one blank line."""
    source, built = (project / p for p in ("course/chapters/05_tiny.py", "notebooks/05_tiny.ipynb"))
    now = built.stat().st_mtime
    try:
        os.utime(source, (now, now + 3600 * hours))
        model = jupyterlab(project).get("notebooks/05_tiny.ipynb", content=True)
    finally:
        os.utime(source, (now, now))
    assert model["content"]["cells"][1]["outputs"]


@pytest.mark.parametrize("folder", ["notebooks", "solutions"])
def test_saving_in_jupyterlab_writes_the_source(project, folder):
    source = project / "course" / {"notebooks": "chapters"}.get(folder, folder) / "05_tiny.py"
    built = project / folder / "05_tiny.ipynb"
    text, stored = source.read_text(), built.read_text()
    manager = jupyterlab(project)
    path = f"{folder}/05_tiny.ipynb"
    try:
        manager.save(manager.get(path, content=True), path)
        assert source.read_text() == text, "opening and saving alone changed the source"
        model = manager.get(path, content=True)
        model["content"]["cells"][0]["source"] += "\n\nOne more line."
        manager.save(model, path)
        assert "# One more line.\n" in source.read_text()
        assert source.read_text().replace("#\n# One more line.\n", "") == text, "more than the edited cell changed"
    finally:
        source.write_text(text)
        built.write_text(stored)


@pytest.mark.parametrize(("output", "said"), [
    (new_output("stream", text="/home/anna/x.png"), "'/home/', a path of this machine"),
    (new_output("stream", text=f"{ROOT}/README.md"), "a path of this machine"),
    (new_output("execute_result", {"text/plain": "C:\\Users\\anna"}), "a path of this machine"),
    (new_output("execute_result", {"text/html": "<object object at 0x7f01a2b3c4d5>"}), "memory address"),
    (new_output("stream", name="stderr", text="UserWarning: old"), "writes to stderr"),
    (new_output("error", ename="ValueError"), "ends in an error: ValueError"),
    (new_output("execute_result", {"text/plain": "0.25", "image/png": "ab/tmp/+"}), ""),
], ids=range(7))
def test_what_differs_between_machines_and_runs_cannot_be_stored(output, said):
    assert (said in running.unstorable(output)) if said else running.unstorable(output) == ""


@pytest.mark.parametrize(("code", "said"), [
    ("import warnings; warnings.warn('old')", "writes to stderr"), ("1 / 0", "ZeroDivisionError")])
def test_a_bad_run_is_refused_and_nothing_is_written(tmp_path, capsys, code, said):
    (tmp_path / "course" / "chapters").mkdir(parents=True)
    (tmp_path / "course" / "chapters" / "01_bad.py").write_text(f"# %%\n{code}\n")
    assert build.main([], root=tmp_path) == 1
    message = capsys.readouterr().err
    assert said in message and "notebooks/01_bad.ipynb" in message
    assert not list(tmp_path.rglob("*.ipynb"))


def test_an_unknown_name_is_reported(tmp_path, capsys):
    assert build.main(["77"], root=tmp_path) == 1
    assert "begins with 77" in capsys.readouterr().err


STUBS = {
    "function": ("""
        def f(x):
            ### BEGIN SOLUTION
            return x
            ### END SOLUTION
        """, """
        def f(x):
            # TODO: your code here
            raise NotImplementedError("f: your code here")
        """),
    "method": ("""
        class A:
            def g(self):
                ### BEGIN SOLUTION
                return 1
                ### END SOLUTION

            def h(self):
                return 2
        """, """
        class A:
            def g(self):
                # TODO: your code here
                raise NotImplementedError("A.g: your code here")

            def h(self):
                return 2
        """),
    "one line inside a loop": ("""
        def f(x):
            for i in x:
                ### BEGIN SOLUTION
                y = i
                ### END SOLUTION
            return y
        """, """
        def f(x):
            for i in x:
                # TODO: your code here
                raise NotImplementedError("f: your code here")
            return y
        """),
    "top level, after a function": ("""
        def a():
            return 1

        ### BEGIN SOLUTION
        b = 2
        ### END SOLUTION
        print(3)
        """, """
        def a():
            return 1

        # TODO: your code here
        print(3)
        """),
    "nothing to cut": ("print(1)", "print(1)"),
}


@pytest.mark.parametrize("case", STUBS)
def test_cut(case):
    source, stub = (textwrap.dedent(text) for text in STUBS[case])
    assert cutting.cut(source) == stub


@pytest.mark.parametrize("source", ["### BEGIN SOLUTION\nx = 1", "x = 1\n### END SOLUTION",
                                    "### END SOLUTION\nx\n### BEGIN SOLUTION"])
def test_a_marker_without_partner_is_an_error(source):
    with pytest.raises(ValueError, match="has no partner"):
        cutting.cut(source)


def test_two_equal_cells_get_two_ids(tmp_path):
    path = tmp_path / "01_twice.py"
    path.write_text("# %%\nx = 1\n\n# %%\nx = 1\n")
    ids = [c.id for c in build.read_source(path).cells]
    assert len(set(ids)) == 2
    assert json.dumps(ids) == json.dumps([c.id for c in build.read_source(path).cells])
