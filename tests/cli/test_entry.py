"""Ctrl-C while the command is imported, and while Python ends: one line, or none; no traceback."""

import signal
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]

# A shell that starts the tests in the background has its children ignore the signal.
INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt = lambda *_: os.kill(os.getpid(), signal.SIGINT)
"""
IMPORTED = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "keras_ccsam_cli.main":
            interrupt()
sys.meta_path.insert(0, Finder())
"""
ENDING = """
import atexit, types
sys.modules["keras_ccsam_cli.main"] = types.SimpleNamespace(main=lambda: sys.exit(3))
atexit.register(interrupt)
"""


@pytest.mark.parametrize(
    ("when", "code", "said"),
    [(IMPORTED, 130, "ccsam: error: interrupted\n"), (ENDING, -signal.SIGINT, "")],
)
def test_an_interruption_shows_no_traceback(when, code, said):
    script = f"{INTERRUPTS}{when}from keras_ccsam_cli.entry import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
