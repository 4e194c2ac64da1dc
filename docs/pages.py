"""The pages of the documentation, read as what they show: code, commands, outputs, links.

`tests/docs` checks what a page shows, and `outputs.py` writes what its code prints.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_OUTPUT = re.compile(r"<!-- output( in part)?: (.+?) -->\s*\Z")
_FILE = re.compile(r"# (\S+\.toml)\n")
_TITLE = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: after the fence; empty for none.
        text: between the fences.
        start, end: where the text stands in the page.
        command: the command line that the page says printed it, else "".
        in_part: whether it is only some lines of what that printed.
        output_of: the Python block that stands right above a block of text, else None.
    """

    language: str
    text: str
    start: int
    end: int
    command: str = ""
    in_part: bool = False
    output_of: "Block | None" = None

    @property
    def file(self) -> str:
        """The file that a TOML block is, named in its first line; else ""."""
        found = _FILE.match(self.text) if self.language == "toml" else None
        return found[1] if found else ""


def pages() -> list[Path]:
    """Every page that this project shows."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """`docs/how-to/choose-r.md`."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    before = 0
    for fence in _FENCE.finditer(text):
        between = text[before : fence.start()]
        output = _OUTPUT.search(between)
        above = found[-1] if found and not between.strip() else None
        found.append(
            Block(
                fence[1],
                fence[2],
                *fence.span(2),
                command=output[2] if output else "",
                in_part=bool(output and output[1]),
                output_of=above
                if above and (above.language, fence[1]) == ("python", "text")
                else None,
            )
        )
        before = fence.end()
    return found


def commands(text: str) -> list[list[str]]:
    """The lines of the shell blocks as words, comments and environment variables left out."""
    lines = [b.text for b in blocks(text) if b.language == "sh"]
    found = []
    for line in "".join(lines).splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            found.append(words)
    return found


def inline_commands(text: str) -> list[list[str]]:
    """What a sentence shows of `ccsam`, where it is more than the name of a command."""
    prose = _FENCE.sub("", text)
    found = (shlex.split(line) for line in re.findall(r"`(ccsam [^`\n]+)`", prose))
    return [words for words in found if len(words) > 2]


def links(text: str) -> list[str]:
    """The targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", text))


def named_files(text: str) -> list[str]:
    """The paths of this repository that a sentence names."""
    return re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", _FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """What `#...` may name: the titles of a page, as GitHub writes them."""
    titles = _TITLE.findall(_FENCE.sub("", text))
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}
