"""Writes down how many inputs each reader was given, where CCSAM_FUZZ_COUNTS names a file."""

import os

import pytest

from tests.fuzz.broken import GIVEN


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Once all readers are done, in the process that ran them."""
    if (path := os.environ.get("CCSAM_FUZZ_COUNTS")) and GIVEN:
        from benchmarks import record

        rows = [{"reader": name, "inputs": count} for name, count in GIVEN.items()]
        record.save(path, rows, ("reader",), None, failed=session.testsfailed)
