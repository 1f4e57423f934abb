"""Importing tutorial_lib repairs a torchvision whose operators do not load, and leaves every other one alone.

Each case runs in a fresh interpreter, in front of a made-up torchvision, because a repaired import cannot be undone.
"""

import os
import subprocess
import sys
import textwrap

import pytest

SOUND = "nms = 'sound'"
BROKEN = """
    import torch
    if not hasattr(torch.ops.torchvision, "nms"):
        raise RuntimeError("operator torchvision::nms does not exist")
    nms = "declared"
"""
OTHER_FAULT = "raise RuntimeError('the disk is on fire')"
ABSENT = "raise ModuleNotFoundError(\"No module named 'torchvision'\", name='torchvision')"

ASK = """
    import sys, tutorial_lib
    from tutorial_lib import _torchvision_guard as guard
    second = guard.repair()
    try:
        import torchvision
        state = getattr(torchvision, 'nms', 'real')
    except Exception as error:
        state = type(error).__name__
    print(state, guard._library is not None, second)
"""

CASES = {  # what torchvision is -> (what an importer then gets, whether operators were declared)
    "broken": (BROKEN, "declared", True),
    "sound": (SOUND, "sound", False),
    "another fault": (OTHER_FAULT, "RuntimeError", False),
    "missing": (ABSENT, "ModuleNotFoundError", False),
}


def ask(folder, script=ASK):
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
def test_guard_repairs_the_broken_and_nothing_else(case, tmp_path):
    source, state, declared = CASES[case]
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(textwrap.dedent(source))
    assert ask(tmp_path) == [state, str(declared), "False"]  # a second call never has anything left to do


@pytest.mark.slow
def test_the_installed_torchvision_works_after_importing_the_package():
    state, _, second, side = ask("", ASK + """
    import torch
    from torchvision.transforms.v2 import functional
    from torchvision.models import alexnet  # the import that needs the operators
    print(functional.resize(torch.zeros(1, 3, 8, 8), [4, 4]).shape[-1])
    """)
    assert (state, second, side) == ("real", "False", "4")
