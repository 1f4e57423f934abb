"""Every error of the command line is a sentence: what was found, what was expected, what to do next."""

import argparse
import contextlib
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

DEBUG = "FLOW_COURSE_DEBUG"


class CommandError(Exception):
    """Something the user can mend; the message is the whole of what is printed."""


class Parser(argparse.ArgumentParser):
    """argparse that answers a wrong option with one sentence and the way to the help."""

    def error(self, message: str) -> None:
        raise CommandError(f"{message[:1].upper()}{message[1:]}. See '{self.prog} --help'.")


def guarded(command: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command and return its exit code; no traceback reaches the user unless FLOW_COURSE_DEBUG is set."""
    try:
        with _polite_termination():
            return command(argv)
    except KeyboardInterrupt as interrupt:
        return _say(str(interrupt) or "Stopped. What was there before is unchanged.", 130)
    except BrokenPipeError:  # '| head' has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        sentence = explain(error)
        if sentence is not None:
            return _say(sentence, 2)
        return _say(
            f"This is a fault of the program, not yours: {type(error).__name__}: {error}. "
            f"Set {DEBUG}=1, run the command again, and report the traceback that it then shows.",
            1,
        )


@contextlib.contextmanager
def _polite_termination():
    """Inside, being told to end (SIGTERM) is like Ctrl-C: what is ready is kept and said."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def explain(error: BaseException) -> str | None:
    """The sentence for an error that a user can mend, or None for a fault of the program."""
    if isinstance(error, CommandError) or type(error).__module__.startswith("tutorial_lib."):
        return str(error)
    if isinstance(error, MemoryError) or "not enough memory" in str(error) or "out of memory" in str(error):
        return "There is not enough memory. Close other programs, choose a smaller --size, or compare fewer methods."
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", -1), errno.EFBIG):
            return (
                f"The disk is full: {error.strerror} while writing{where}. What was there before is unchanged. "
                "Free some space or choose another folder with --out."
            )
        return f"The file or folder{where} cannot be used: {error.strerror}. Check the path and its permissions."
    return None


def _say(sentence: str, code: int) -> int:
    print(" ".join(sentence.split()), file=sys.stderr, flush=True)
    return code
