"""Each promise of docs/reliability.md stands beside a test that is there."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_backend

ROOT = Path(__file__).resolve().parents[2]


def test_the_tests_that_the_page_names_are_there() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", row)
        assert named, f"no test shows this: {row}"
        file = ""
        for path, test in named:
            file = path or file
            text = (ROOT / file).read_text(encoding="utf-8")
            assert f"def {test}(" in text or f"class {test}:" in text, f"{file}::{test}"
