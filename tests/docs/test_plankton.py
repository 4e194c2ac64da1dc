"""The page from a folder to a deployed file: its lines are run, on a small network."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from docs import pages

# What trains, exports and reads files is tested on each backend in its own room.
pytestmark = pytest.mark.any_backend

PAGE = pages.ROOT / "docs" / "plankton.md"
SMALL = ("--set", "model.backbone=small_cnn", "--set", "model.backbone.width=4")
SHORT = ("--epochs", "1", "--set", "stage2.epochs=1", "--set", "data.size=16", *SMALL)


@pytest.mark.slow
def test_the_lines_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list(pages.commands(PAGE.read_text(encoding="utf-8")))
    assert len(lines) <= 10
    monkeypatch.chdir(tmp_path)
    for words in lines:
        if words[0] == "python":
            script = [sys.executable, str(pages.ROOT / words[1]), *words[2:], "--largest", "60"]
            subprocess.run([*script, "--ratio", "20"], check=True)
            continue
        if (
            words[1] == "export"
        ):  # tests/deployment export; here ONNX fails below the tests' settings
            continue
        more = SHORT if words[1] in ("train", "compare") else ()
        result = CliRunner().invoke(cli, [*words[1:], *more])
        assert result.exit_code == 0, f"{' '.join(words)}: {result.output}"
    assert (tmp_path / "plankton.html").is_file()
