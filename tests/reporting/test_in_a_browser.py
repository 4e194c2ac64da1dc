"""The report in a real browser: it draws, sorts, searches, turns dark, fits, and runs no name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from keras_ccsam import reporting
from keras_ccsam.analysis.report import blocks
from keras_ccsam.analysis.report import page as pages
from tests.reporting.browser import chromium, keep, opened
from tests.reporting.written_analyses import write_analyses
from tests.reporting.written_runs import HOSTILE, write_run

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.slow,
    # The page is the same from every backend.
    pytest.mark.skipif(
        keras.backend.backend() != "torch", reason="A browser is started under one backend alone"
    ),
]

WIDE = {"viewport": {"width": 1400, "height": 900}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods over two seeds; classes, a method and the folder have hostile names."""
    folder = tmp_path_factory.mktemp("it's <i>here") / "a&b"
    for seed in (0, 1):
        ce = write_run(folder / f"ce-seed{seed}", "ce", seed, skill=1.5)
        write_run(folder / f"sam-seed{seed}", "sam", seed, skill=2.5, stages=2)
        name = f"evil-seed{seed}"
        evil = write_run(folder / name, HOSTILE[0], seed, skill=3.5, rate=0.2, stages=2)
        write_analyses(ce, 2.0)
        write_analyses(evil, 1.0)
    return reporting.report([folder])


def test_everything_is_drawn_and_nothing_is_complained_of(browser: Any, file: Path) -> None:
    with opened(browser, file, **WIDE) as (page, complaints):
        empty = page.eval_on_selector_all(
            ".panel svg",
            """all => all.filter(svg => svg.checkVisibility()).map(svg => {
                const box = svg.getBoundingClientRect();
                const marks = svg.querySelectorAll('path[d]:not([d=""]), circle, rect').length;
                return [svg.getAttribute('aria-label'), box.width, box.height, marks];
            }).filter(([, width, height, marks]) => width < 150 || height < 80 || marks < 3)""",
        )
        drawn = page.eval_on_selector_all(
            ".panel svg", "all => all.filter(svg => svg.checkVisibility()).length"
        )
        keep(page, "light")
        assert empty == []
        assert drawn >= 30
        assert (
            page.evaluate("document.querySelector('svg .ln').getAttribute('d').includes('NaN')")
            is False
        )
        assert "NaN" not in page.content().split('id="numbers"')[0].replace('data-key="nan"', "")
        assert complaints == []


def test_a_table_sorts_by_click_and_by_key(browser: Any, file: Path) -> None:
    with opened(browser, file, **WIDE) as (page, complaints):
        table = page.locator("#classes table")
        column = "rows => rows.map(row => Number(row.cells[1].textContent))"
        before = table.locator("tbody tr").evaluate_all(column)
        assert before == sorted(before, reverse=True)
        head = table.locator("thead th").nth(1)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert table.locator("tbody tr").evaluate_all(column) == sorted(before)
        # By name: letters, whatever is in them.
        table.locator("thead th").nth(0).locator("button").click()
        assert head.get_attribute("aria-sort") == "none"
        names = table.locator("tbody th").all_text_contents()
        assert names != sorted(names, key=HOSTILE.index)
        assert sorted(names) == sorted(HOSTILE)
        assert complaints == []


def test_a_class_is_found(browser: Any, file: Path) -> None:
    with opened(browser, file, **WIDE) as (page, complaints):
        field = page.get_by_label("Search a class")
        rows = page.locator("#classes tbody tr")
        visible = (
            "rows => rows.filter(row => row.checkVisibility()).map(row => row.cells[0].textContent)"
        )
        field.fill("ORDIN")
        assert rows.evaluate_all(visible) == ["ordinary"]
        assert "1 of 10" in page.locator("#classes output").text_content()
        field.fill("<script>")
        assert rows.evaluate_all(visible) == [HOSTILE[0]]
        field.fill("no such class")
        assert rows.evaluate_all(visible) == []
        field.fill("")
        assert len(rows.evaluate_all(visible)) == len(HOSTILE)
        assert complaints == []


def test_hostile_names_stay_text_and_run_nothing(browser: Any, file: Path) -> None:
    with opened(browser, file, **WIDE) as (page, complaints):
        page.locator("#classes [data-tip]").first.hover()
        page.wait_for_selector("#tip:not([hidden])")
        for tab in page.get_by_role("tab").all():
            tab.click()
        assert page.evaluate("window.hacked") is None
        assert page.locator("main img, main b, main i:not(.group)").count() == 0
        assert page.locator("#summary tbody th").all_text_contents().count(HOSTILE[0]) == 2
        numbers = page.evaluate("JSON.parse(document.getElementById('numbers').textContent)")
        assert tuple(numbers["data"][0]["class_names"]) == HOSTILE
        # Even a script that got into the page would not run.
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.hacked=9';"
            " document.body.append(s); }"
        )
        assert page.evaluate("window.hacked") is None
        assert [line for line in complaints if "Content Security" not in line] == []


def test_tabs_turn_with_the_arrow_keys(browser: Any, file: Path) -> None:
    with opened(browser, file, **WIDE) as (page, complaints):
        tabs, panels = page.get_by_role("tab"), page.locator("#confusion [role=tabpanel]")
        shown = "all => all.map(panel => panel.checkVisibility())"
        assert panels.evaluate_all(shown) == [True, False, False]
        tabs.first.focus()
        page.keyboard.press("ArrowRight")
        assert panels.evaluate_all(shown) == [False, True, False]
        assert tabs.nth(1).get_attribute("aria-selected") == "true"
        page.keyboard.press("End")
        assert panels.evaluate_all(shown) == [False, False, True]
        page.emulate_media(media="print")
        assert panels.evaluate_all(shown) == [True, True, True]
        keep(page, "print")
        assert complaints == []


def test_the_first_key_skips_to_the_content(browser: Any, file: Path) -> None:
    with opened(browser, file, **WIDE) as (page, _):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


GROUND = "getComputedStyle(document.body).backgroundColor"


def lightness(colour: str) -> float:
    """The mean of red, green and blue of `rgb(1, 2, 3)`."""
    return sum(map(float, colour[colour.index("(") + 1 : -1].split(",")[:3])) / 3


def test_dark_by_the_system_and_by_choice(browser: Any, file: Path) -> None:
    with opened(browser, file, color_scheme="dark", **WIDE) as (page, complaints):
        assert lightness(page.evaluate(GROUND)) < 60
        text = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
        assert lightness(text) > 140
        keep(page, "dark")
        page.get_by_role("radio", name="light").click()
        assert lightness(page.evaluate(GROUND)) > 240
        page.keyboard.press("ArrowRight")
        assert lightness(page.evaluate(GROUND)) < 60
        page.emulate_media(media="print")
        assert lightness(page.evaluate(GROUND)) > 240
        assert complaints == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_narrow_page_does_not_scroll_sideways(browser: Any, file: Path, width: int) -> None:
    with opened(browser, file, viewport={"width": width, "height": 800}) as (page, complaints):
        keep(page, f"narrow-{width}")
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert beyond <= 0
        # What is wider than the page scrolls by itself, and can be reached with the keyboard.
        unreachable = page.eval_on_selector_all(
            ".scroll, pre, .panel",
            "all => all.filter(x => x.scrollWidth > x.clientWidth + 1 && x.tabIndex < 0).length",
        )
        assert unreachable == 0
        assert complaints == []


def test_it_can_be_read_without_its_script(browser: Any, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.resolve().as_uri())
    assert page.locator("#confusion [role=tabpanel]").nth(2).is_visible()
    assert not page.get_by_role("tablist").is_visible()
    context.close()


def test_a_surface_is_drawn_by_plotly(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    steps = [n / 5 - 1 for n in range(11)]
    z: list[list[float | None]] = [[x * x + y * y for x in steps] for y in steps]
    z[0][0] = None
    surface = blocks.Surface("a</script>", steps, steps, z, "loss")
    section = blocks.Section("s", "Surface", "", [blocks.Surfaces([surface])])
    html = pages.Page("t", "s", [], [pages.Part("", "p", [section])], {}).html()
    (tmp_path / "surface.html").write_text(html, encoding="utf-8")
    with opened(browser, tmp_path / "surface.html", **WIDE) as (page, complaints):
        assert page.locator(".surface canvas").count() == 0
        page.get_by_text("As surfaces that can be turned").click()
        page.wait_for_selector(".surface canvas")
        keep(page, "surface")
        assert [line for line in complaints if not line.startswith("warning")] == []
