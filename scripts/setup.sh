#!/bin/sh
# Makes .venv complete: a suitable Python, the versions pinned in constraints.txt, this project.
#   sh scripts/setup.sh        what the course needs
#   sh scripts/setup.sh dev    what the tests need as well
# Nothing is done when nothing changed. The stamp that says "complete" is removed first and written last,
# so an interrupted set-up is taken up again by the next run. PYTHON=/path/to/python chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."
want=${1:-course}
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX || :
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PYTHONNOUSERSITE=1

# --- which Python -----------------------------------------------------------------------------------------------
fits='import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14) and sys.maxsize > 2**32))'
able='import ensurepip, venv'
chosen= ; seen= ; unable=
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
    version=$("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null) || continue
    seen="$seen $candidate=$version"
    "$candidate" -c "$fits" 2>/dev/null || { [ "$candidate" != "${PYTHON:-}" ] && continue || break; }
    if "$candidate" -c "$able" 2>/dev/null; then chosen=$candidate; break; fi
    unable=$candidate
done
if [ -z "$chosen" ]; then
    if [ -n "$unable" ]; then
        echo "Python was found as '$unable', but its venv module is missing. On Debian and Ubuntu:" >&2
        echo "    sudo apt-get install python3-venv" >&2
    else
        echo "This course needs 64-bit Python 3.11, 3.12 or 3.13. Found on the PATH:${seen:- no python3 at all}." >&2
        echo "Install one (python.org, your package manager, or conda: see README.md) and run the command again," >&2
        echo "or name it: make lab PYTHON=/path/to/python3.12" >&2
    fi
    exit 1
fi

# --- is there anything to do ------------------------------------------------------------------------------------
stamp=.venv/complete
# The folder is part of it: an environment that was moved still points to the old place.
state="$(pwd -P)
$("$chosen" -c 'import sys; print(sys.version)')
$(cksum pyproject.toml constraints.txt scripts/setup.sh)"
if [ -f "$stamp" ] && [ -x .venv/bin/python ]; then
    have=$(sed -n 1p "$stamp")
    if [ "$(sed 1d "$stamp")" = "$state" ] && { [ "$have" = dev ] || [ "$have" = "$want" ]; }; then exit 0; fi
fi

# --- do it ------------------------------------------------------------------------------------------------------
rm -f "$stamp"
if ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version != sys.argv[1] or sys.prefix != sys.argv[2])' \
        "$("$chosen" -c 'import sys; print(sys.version)')" "$(pwd -P)/.venv" 2>/dev/null; then
    echo "Creating .venv with $("$chosen" -c 'import sys; print("Python", sys.version.split()[0], "from", sys.executable)')"
    rm -rf .venv
    "$chosen" -m venv .venv || { echo "Creating .venv failed; the lines above say why." >&2; exit 1; }
fi
echo "Installing the pinned packages into .venv. The first time takes minutes; later runs skip this."
extra=
[ "$want" = dev ] && extra='[dev]'
quiet=--quiet
[ -t 1 ] && quiet=    # at a terminal pip's own progress is worth seeing
.venv/bin/python -m pip install $quiet -c constraints.txt -e ".$extra" || {
    echo "Set-up did not finish: pip's last lines say why (no connection, or a full disk, most often)." >&2
    echo "Nothing is lost: run the same command again and it goes on from here." >&2
    exit 1
}
printf '%s\n%s\n' "$want" "$state" > "$stamp.part" && mv "$stamp.part" "$stamp"
echo "Set-up is complete."
