"""Runs the Python code of the pages, and writes what it prints below it.

    KERAS_BACKEND=jax python docs/outputs.py docs/tutorial.md [...]

A block of text that stands right below a block of Python is what that block prints. The tests hold
its form on every backend; its numbers are those of the backend and machine that wrote it.
"""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs import pages


def printed(code: str, variables: dict[str, object]) -> str:
    """What a block prints, without the blanks at the ends of lines."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "page", "exec"), variables)
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines()) + "\n"


def filled(text: str) -> str:
    """A page with the outputs of its code made anew."""
    variables: dict[str, object] = {"__name__": "page"}
    new, position, last = "", 0, ""
    for block in pages.blocks(text):
        if block.language == "python":
            last = printed(block.text, variables)
        elif block.output_of:
            new, position = new + text[position : block.start] + last, block.end
    return new + text[position:]


def main() -> None:
    """Writes the pages named."""
    for path in map(Path, map(os.path.abspath, sys.argv[1:])):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            text = filled(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
