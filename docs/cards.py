"""Writes one card per method, from what the method declares, its docstring and its results.

    python docs/cards.py            # writes docs/methods
    python docs/cards.py --check    # names what is out of date, and exits with 1

`cards.toml` adds when to use a method. A test holds that the cards in the repository are these.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tables import markdown
from docs.card import Card, code, page, summary
from keras_ccsam import declare
from keras_ccsam.recipes.reference import entries

FOLDER = Path(__file__).resolve().parent / "methods"
KINDS = ("sharpness", "loss", "views", "term", "posthoc", "tuning")
CONTENTS = """# Methods

One card for each: what it does, when to use it, what it costs, its options, its recipe, its source,
and what was measured. `make docs` writes them, from what the methods declare.
[Choose a method](../how-to/choose-a-method.md) says what to try first.
"""


def cards() -> list[Card]:
    """The cards of `cards.toml`, and one for each declared method that none of them shows."""
    text = Path(__file__).with_name("cards.toml").read_text(encoding="utf-8")
    # A part of somebody else's, from a test or a package, has no card here.
    known = {
        f"{kind}:{entry.name}": entry
        for kind in declare.KINDS
        for entry in entries(kind)
        if entry.place.startswith("keras_ccsam.")
    }
    found = [
        Card(name, said, tuple(known[part] for part in said.get("parts", ())))
        for name, said in tomllib.loads(text).items()
    ]
    shown = {f"{entry.kind}:{entry.name}" for card in found for entry in card.parts}
    shown.add("loss:cross_entropy")
    others = [e for name, e in known.items() if e.kind in KINDS and name not in shown]
    return [*found, *(Card(entry.name.replace("_", "-"), {}, (entry,)) for entry in others)]


def written() -> dict[str, str]:
    """The content of each file of `docs/methods`."""
    made = cards()
    return {"README.md": contents(made), **{f"{card.name}.md": page(card) for card in made}}


def contents(made: Iterable[Card]) -> str:
    """The list of the methods."""
    rows = [
        (f"[{card.title}]({card.name}.md)", summary(card), ", ".join(code(card.recipes)))
        for card in made
    ]
    table = markdown(("method", "what it is", "recipes"), rows, 3)
    return f"{CONTENTS}\n{table}\n"


def main() -> int:
    """Writes, or checks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    files = written()
    FOLDER.mkdir(exist_ok=True)
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    stale = [name for name in {**there, **files} if there.get(name) != files.get(name)]
    for name in sorted(stale):
        print(f"{'out of date' if check else 'written'}: docs/methods/{name}")
        if not check and name in files:
            (FOLDER / name).write_text(files[name], encoding="utf-8")
        elif not check:
            (FOLDER / name).unlink()
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
