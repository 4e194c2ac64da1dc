"""The page as text: what is in it, what is escaped, and that it asks the network for nothing."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from keras_ccsam import reporting
from keras_ccsam.analysis.report import page
from keras_ccsam.analysis.report.blocks import Section, Surface, Surfaces
from tests.reporting.written_runs import HOSTILE, write_run

pytestmark = pytest.mark.any_backend


class Reader(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.raw: list[tuple[str, str]] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.raw.append((self._inside, data))
        else:
            self.text.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods with two seeds each; every name is hostile."""
    runs = tmp_path_factory.mktemp("<b>runs") / 'x" onload="window.hacked=5'
    for seed in (0, 1):
        write_run(runs / f"ce-seed{seed}", "ce", seed)
        write_run(runs / f"evil-seed{seed}", HOSTILE[0], seed, skill=4.0, rate=0.2, stages=2)
    return runs


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return reporting.report([folder]).read_text(encoding="utf-8")


def test_every_section_is_there(html: str) -> None:
    ids = [a["id"] for tag, a in Reader(html).elements if tag == "section"]
    wanted = {"summary", "conclusions", "classes", "curves", "calibration", "confusion"}
    assert wanted | {"representation", "recipes", "environment"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_ids_are_unique_and_references_meet_them(html: str) -> None:
    elements = Reader(html).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in elements:
        for key in ("aria-labelledby", "aria-controls", "for"):
            assert attributes.get(key, ids[0]) in ids
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_hostile_names_stay_text(html: str) -> None:
    reader = Reader(html)
    shown = "".join(reader.text)
    for name in HOSTILE:
        assert name in shown
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"img", "b", "iframe", "object", "link", "base", "form"}
    assert not [key for _, a in reader.elements for key in a if key.startswith("on")]
    # Jinja's braces in a name are not evaluated.
    assert "49" not in [text.strip() for text in reader.text]


def test_scripts_are_the_page_s_own_and_data(html: str) -> None:
    reader = Reader(html)
    scripts = [text for tag, text in reader.raw if tag == "script"]
    kinds = [a.get("type", "") for tag, a in reader.elements if tag == "script"]
    assert kinds == ["application/json", ""]
    numbers = json.loads(scripts[0])
    assert numbers["data"][0]["class_names"] == list(HOSTILE)
    assert not set("<>&\u2028\u2029") & set(scripts[0])


def test_the_policy_allows_the_page_s_own_script_and_style_alone(html: str) -> None:
    reader = Reader(html)
    policy = next(
        a["content"] for tag, a in reader.elements if "Content-Security" in a.get("http-equiv", "")
    )
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for kind, text in reader.raw:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        # Data is not run and needs no leave.
        assert (f"'sha256-{digest}'" in policy) != text.startswith("{"), kind
    assert "style" not in {key for _, a in reader.elements for key in a}


def test_nothing_is_asked_of_the_network(html: str) -> None:
    for tag, attributes in Reader(html).elements:
        for key in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert attributes.get(key, "#").startswith("#"), (tag, attributes)
    assert "@import" not in html
    assert not re.search(r"url\(", html)
    assert "http://" not in html
    assert "https://" not in html


def test_json_for_a_script_element_means_the_same() -> None:
    for name in HOSTILE:
        text = page.payload({"name": name})
        assert json.loads(text) == {"name": name}
        assert not set("<>&\u2028\u2029") & set(text)
    with pytest.raises(ValueError, match="not JSON compliant"):
        page.payload([float("nan")])


def test_a_large_comparison_stays_below_a_megabyte(tmp_path: Path) -> None:
    names = [f"class number {n}" for n in range(100)]
    counts = [max(2, int(500 * 0.95**n)) for n in range(100)]
    for method in range(8):
        for seed in (0, 1):
            write_run(
                tmp_path / f"m{method}-seed{seed}",
                f"method-{method}",
                seed,
                class_names=names,
                class_counts=counts,
                rate=0.1 + method,
                stages=2,
                epochs=200,
            )
    out = reporting.report([tmp_path])
    assert out.stat().st_size < 1_000_000
    assert "class number 99" in out.read_text(encoding="utf-8")


def test_plotly_comes_once_and_only_with_a_surface(tmp_path: Path) -> None:
    def made(*surfaces: Surface) -> str:
        section = Section("one", "One", "", [Surfaces(surfaces)] if surfaces else [])
        return page.Page("t", "s", [], [page.Part("", "p", [section])], {}).html()

    surface = Surface("</script>", [0.0, 1.0], [0.0, 1.0], [[1.0, None], [2.0, 3.0]], "loss")
    assert len(made()) < 100_000
    pytest.importorskip("plotly")
    twice = made(surface, surface)
    assert 1_000_000 < len(twice) < 8_000_000
    assert twice.count('data-surface="') == 2
    scripts = Reader(twice).raw
    kinds = [len(text) > 1_000_000 for tag, text in scripts if tag == "script"]
    assert kinds.count(True) == 1
    assert "'unsafe-eval'" not in twice[:4000]
