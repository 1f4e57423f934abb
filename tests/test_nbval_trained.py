"""What a cell tagged ``trained`` may print otherwise than stored, and what it may not."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import nbval_trained
import pytest
from nbval_trained import Trained, alike

import running

STORED = "loss 6.13 → 1.02;  9,408 weights\nimage AUROC +0.169, 12% of 30, log_det -99\n"


@pytest.mark.parametrize("found", [
    STORED, STORED.replace("0.169", "0.142"), STORED.replace("12%", "9%"), STORED.replace("-99", "-95"),
    STORED.replace("1.02;  9", "1.02;     9"), STORED.replace("30", "28")])
def test_numbers_may_move_a_little_and_columns_with_them(found):
    assert alike(STORED, found) and Trained(STORED) == found


@pytest.mark.parametrize("found", [
    STORED.replace("image AUROC", "pixel AUROC"), STORED.replace("0.169", "0.069"), STORED.replace("12%", "22%"),
    STORED.replace("-99", "27"), STORED.replace("6.13 → ", ""), STORED.replace("9,408", "19,408"),
    STORED.replace("30", "36"), STORED + "more"])
def test_other_words_other_numbers_and_missing_ones_are_seen(found):
    assert not alike(STORED, found) and Trained(STORED) != found


@pytest.mark.slow
@pytest.mark.parametrize(("tags", "returned"), [(["trained"], 0), ([], 1)])
def test_only_tagged_cells_are_spared_the_exact_comparison(tags, returned, tmp_path):
    stored = nbformat.v4.new_output("stream", name="stdout", text="image AUROC 0.87\n")
    cell = nbformat.v4.new_code_cell('print("image AUROC 0.89")', metadata={"tags": tags}, execution_count=1,
                                     outputs=[stored])
    path = tmp_path / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    command = [sys.executable, nbval_trained.__file__, "--nbval", "--nbval-current-env", "-p", "no:cacheprovider",
               "-o", "addopts=", "-q", str(path)]
    kernels = running.kernel_environment(tmp_path)
    run = subprocess.run(command, cwd=tmp_path, env=kernels, capture_output=True, text=True, check=False)
    assert run.returncode == returned, run.stdout
