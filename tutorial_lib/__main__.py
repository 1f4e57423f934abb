"""``python -m tutorial_lib``: the commands of the course."""

import sys

from tutorial_lib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
