"""Writes one card per method, from what the method declares, its docstring and its results.

    python docs/cards.py            # writes docs/methods
    python docs/cards.py --check    # names what is out of date, and exits with 1

`cards.toml` adds when to use a method. A test holds that the cards in the repository are these.
"""

import argparse
import importlib
import inspect
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel

import keras_ccsam as cc
from benchmarks.page_tables import markdown, percent, results
from benchmarks.tables import ratio
from keras_ccsam import declare, recipes
from keras_ccsam.declare import Part
from keras_ccsam.options import expected

FOLDER = Path(__file__).resolve().parent / "methods"
KINDS = ("sharpness", "loss", "posthoc")
# Where a part of each kind stands in a recipe.
PLACES = {"sharpness": ("stage1.method",), "loss": ("stage1.loss", "stage2.loss")}
PLACES |= {"posthoc": ("posthoc",)}
PUBLIC = ("sharpness", "losses", "heads", "callbacks", "second_stage", "m2m", "layers")
MEASURED = {
    "digits-lt": "the digits, three seeds",
    "cifar10-lt-small": "CIFAR-10-LT, ResNet-14, two seeds",
    "cifar10-lt-resnet8": "CIFAR-10-LT, ResNet-8, ten epochs, three seeds",
}
CONTENTS = """# Methods

One card for each: what it does, when to use it, what it costs, its options, its recipe, its source,
and what was measured. `make docs` writes them, from what the methods declare.
[Choose a method](../how-to/choose-a-method.md) says what to try first.
"""
HEADS = ("recipe", "overall", "many", "medium", "few", "ECE", "after stage 1")


@dataclass(frozen=True)
class Card:
    """What a card is made of.

    Attributes:
        name: of its file.
        said: its entry of `cards.toml`; empty where there is none.
        parts: what it shows that is declared.
    """

    name: str
    said: Mapping[str, Any]
    parts: tuple[Part, ...]

    @property
    def title(self) -> str:
        """Its first line."""
        return str(self.said.get("title", self.parts[0].name if self.parts else self.name))

    @property
    def modules(self) -> tuple[str, ...]:
        """Whose docstrings have the formula."""
        return tuple(self.said.get("modules") or dict.fromkeys(_module(p) for p in self.parts))

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes that it shows."""
        if "recipes" in self.said:
            return tuple(self.said["recipes"])
        wanted = {(place, p.name) for p in self.parts for place in PLACES[p.kind]}
        # The method alone comes first, then what it is combined with.
        names = sorted(recipes.names(), key=lambda name: (len(name), name))
        return tuple(name for name in names if wanted & _named(name))


def cards() -> list[Card]:
    """The cards of `cards.toml`, and one for each declared method that none of them shows."""
    text = Path(__file__).with_name("cards.toml").read_text(encoding="utf-8")
    found = []
    for name, said in tomllib.loads(text).items():
        pairs = (part.split(":") for part in said.get("parts", ()))
        found.append(Card(name, said, tuple(declare.find(kind, part) for kind, part in pairs)))
    shown = {part for card in found for part in card.parts}
    shown.add(declare.find("loss", "cross_entropy"))
    for kind in KINDS:
        for part in declare.parts(kind).values():
            # A part of somebody else's, from a test or a package, has no card here.
            if part not in shown and part.make.__module__.startswith("keras_ccsam."):
                found.append(Card(part.name.replace("_", "-"), {}, (part,)))
    return found


def written() -> dict[str, str]:
    """The content of each file of `docs/methods`."""
    made = cards()
    return {"README.md": contents(made), **{f"{card.name}.md": page(card) for card in made}}


def contents(made: Iterable[Card]) -> str:
    """The list of the methods."""
    rows = [
        (f"[{card.title}]({card.name}.md)", summary(card), ", ".join(_code(card.recipes)))
        for card in made
    ]
    table = markdown(("method", "what it is", "recipes"), rows, 3)
    return f"{CONTENTS}\n{table}\n"


def summary(card: Card) -> str:
    """One line."""
    line = _docstring(card.modules[0]).partition("\n")[0]
    _, colon, after = line.partition(": ")
    return after[:1].upper() + after[1:] if colon and len(line.partition(": ")[0]) < 40 else line


def page(card: Card) -> str:
    """A card."""
    sections = {
        "What it does": what_it_does(card),
        "Formula": formula(card),
        "When to use it": _wrapped(card.said.get("when", "")),
        "Cost": cost(card),
        "Options": options_table(card),
        "Recipes": recipe_list(card),
        "Source": source(card),
        "Measured": measured(card),
    }
    parts = [f"# {card.title}"]
    # A formula may begin the text: its indent is Markdown's.
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def what_it_does(card: Card) -> str:
    """The first line of the module, and what the class says before its arguments."""
    found = [_docstring(module).partition("\n")[0] for module in card.modules]
    for part in card.parts:
        text = inspect.getdoc(part.make) or ""
        for heading in ("\nArgs:", "\nRaises:", "\nReturns:", "\nExample:", "\nAttributes:"):
            text = text.partition(heading)[0]
        found.append(text.strip())
    for part in card.parts:
        if part.limit is not None:
            at = ", ".join(f"`{key} = {value}`" for key, value in part.limit.options.items())
            found.append(f"{f'At {at} it' if at else 'It'} is `{part.limit.other}`.")
    calls = [call for part in card.parts if (call := _call(part))]
    if calls:
        found.append(f"In Python: {', '.join(_code(calls))}.")
    return "\n\n".join(dict.fromkeys(found))


def formula(card: Card) -> str:
    """The docstrings of the modules, without their first lines and references."""
    return "\n\n".join(_sections(module)[0] for module in card.modules)


def cost(card: Card) -> str:
    """Passes, and the measured steps beside cross-entropy's."""
    found = []
    for part in card.parts:
        if part.kind == "sharpness" and hasattr(part.make, "gradients"):
            found.append((inspect.getdoc(part.make.gradients) or "").partition("\n")[0])
    rows = {row["recipe"]: row for row in results("methods-torch-cpu")["rows"]}
    known = [name for name in card.recipes if name in rows]
    plain = [n for n in known if rows[n]["first_stage_of"] == "ce" and n != "ce"]
    if plain:
        found.append(f"The first stage of {', '.join(_code(plain))} is that of cross-entropy.")
    known = [name for name in known if name not in plain]
    if known:
        found.append(
            "A training step of stage 1, times that of cross-entropy, on the digits' small network "
            "(PyTorch, one thread; in brackets processor time): "
            + ", ".join(f"`{name}` {ratio(rows[name])}" for name in known)
            + "."
        )
    found.append(card.said.get("cost", ""))
    return "\n\n".join(_wrapped(text) for text in dict.fromkeys(found) if text)


def options_table(card: Card) -> str:
    """Name, what is right, default and explanation of each option."""
    rows = []
    for part in card.parts if "tables" not in card.said else ():
        where = " or ".join(_code(PLACES[part.kind]))
        for option in part.options.values():
            default = "required" if option.default is inspect.Parameter.empty else option.default
            rows.append((where, option.name, option.expected, default, option.description))
    for name in card.said.get("tables", ()):
        for key, info in _table(name).model_fields.items():
            kind = info.annotation if not info.metadata else _annotated(info)
            if key == "name" or _is_table(info.annotation):
                continue
            rows.append((f"`{name}`", key, expected(kind), info.default, info.description or ""))
    if not rows:
        return ""
    cells = [
        (where, f"`{key}`", right, f"`{_toml(default)}`", text.replace("|", "\\|"))
        for where, key, right, default, text in rows
    ]
    return markdown(("table of the recipe", "option", "value", "default", "what it is"), cells, 5)


def recipe_list(card: Card) -> str:
    """What each recipe is, and the first of them."""
    found = []
    for name in card.recipes:
        recipe = recipes.load(name)
        note = f" {recipe.note}" if recipe.note else ""
        line = f"- `{name}` ({recipe.variant}): {recipe.description}{note}"
        found.append(_wrapped(line, "  "))
    if not card.recipes:
        return ""
    first = card.recipes[0]
    folder = resources.files("keras_ccsam.recipes") / "methods"
    lines = (folder / f"{first}.toml").read_text(encoding="utf-8").strip().splitlines()
    told = ("description", "note", "variant")
    shown = [line for line in lines if line.partition(" = ")[0] not in told]
    code = "\n".join(shown).strip()
    return "\n".join(found) + f"\n\n```sh\nccsam train {first}\n```\n\n```toml\n{code}\n```"


def source(card: Card) -> str:
    """References of the docstrings, or those of `cards.toml`."""
    given = list(card.said.get("source", ()))
    found = given or [line for module in card.modules for line in _sections(module)[1]]
    return "\n".join(dict.fromkeys(_wrapped(f"- {text}", "  ") for text in found))


def measured(card: Card) -> str:
    """The rows of the comparisons, cross-entropy's first."""
    found = []
    for name, words in MEASURED.items():
        rows = {row["recipe"]: row for row in results(f"comparison-{name}")["rows"]}
        wanted = [r for r in dict.fromkeys(("ce", *card.recipes)) if r in rows]
        if len(wanted) > 1 or wanted == list(card.recipes):
            columns = ("overall", "many", "medium", "few", "ece", "stage1")
            cells = [(r, *(percent(rows[r][c]) for c in columns)) for r in wanted]
            found.append(f"{words[0].upper()}{words[1:]}:\n\n{markdown(HEADS, cells)}")
    if found:
        found.append("How, and what it does not show: [benchmarks](../benchmarks.md#accuracy).")
    return "\n\n".join(found) or "Nothing has been measured here."


def _wrapped(text: str, indent: str = "") -> str:
    """Lines of at most 100 characters, words whole."""
    lines = textwrap.wrap(text, 100, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines)


def _module(part: Part) -> str:
    return str(part.make.__module__)


def _docstring(module: str) -> str:
    return inspect.getdoc(importlib.import_module(module)) or ""


def _sections(module: str) -> tuple[str, list[str]]:
    """A module's docstring without its first line, and its references."""
    body, references = [], []
    inside = False
    for line in _docstring(module).splitlines()[1:]:
        if line in ("References:", "Reference:"):
            inside = True
        elif inside and line.strip():
            text = line.strip()
            # A reference begins with its authors; what follows continues it.
            if references and not references[-1].endswith((".", ";")):
                references[-1] += f" {text}"
            else:
                references.append(text)
        elif not inside:
            body.append(line)
    return "\n".join(body).strip("\n"), references


def _named(recipe: str) -> set[tuple[str, str]]:
    """The parts that a recipe names, with their places."""
    values = recipes.load(recipe).to_dict()
    found = set()
    for place in (place for places in PLACES.values() for place in places):
        table: Any = values
        for key in place.split("."):
            table = (table or {}).get(key)
        if table:
            found.add((place, table["name"]))
    return found


def _call(part: Part) -> str:
    """How it is made in Python; empty for what is not public."""
    for room in PUBLIC:
        name = getattr(part.make, "__name__", "")
        if inspect.isclass(part.make) and getattr(getattr(cc, room), name, None) is part.make:
            known = inspect.signature(part.make).parameters
            counts = ["class_counts"] if "class_counts" in known else []
            values = [f"{o.name}={o.default!r}" for o in part.options.values()]
            return f"cc.{room}.{name}({', '.join(counts + values)})"
    return ""


def _table(name: str) -> type[BaseModel]:
    """The table of a recipe by its dotted name."""
    model: Any = recipes.Recipe
    for key in name.split("."):
        annotation = model.model_fields[key].annotation
        model = next(a for a in (*get_args(annotation), annotation) if _is_table(a))
    return model


def _is_table(annotation: Any) -> bool:
    if inspect.isclass(annotation):
        return issubclass(annotation, BaseModel)
    return any(_is_table(kind) for kind in get_args(annotation))


def _annotated(info: Any) -> Any:
    return Annotated[(info.annotation, *info.metadata)]


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value) or '""'


def _code(words: Iterable[str]) -> list[str]:
    return [f"`{word}`" for word in words]


def main() -> int:
    """Writes, or checks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    files = written()
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
