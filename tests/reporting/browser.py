"""A headless Chromium, where there is one."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Without a sandbox of its own: it opens files that a test has written, often as root.
OPTIONS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")

# Milliseconds; a machine that does much else may take its time.
PATIENCE = 120_000


def executable() -> str:
    """The path of the system's Chromium; the test is skipped with a sentence where it has none."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("The report is not seen in a browser: playwright is not installed (extra dev)")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("The report is not seen in a browser: no chromium (apt-get install chromium)")
    return str(found)


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser."""
    path = executable()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, file: Path, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page and what it complained of; whatever it asks the network for is a complaint, too."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.set_default_navigation_timeout(PATIENCE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    address = file.resolve().as_uri()
    page.on(
        "request",
        lambda asked: (
            asked.url.startswith(("data:", "blob:", address))
            or complaints.append(f"request: {asked.url[:120]}")
        ),
    )
    page.goto(address)
    page.wait_for_selector("html[data-ready]", timeout=PATIENCE)
    try:
        yield page, complaints
    finally:
        context.close()


def keep(page: Any, name: str) -> None:
    """A picture for people, where `CCSAM_SCREENSHOTS` names a folder."""
    folder = os.environ.get("CCSAM_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
