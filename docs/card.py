"""One card: what a method declares, its docstring and its results, as Markdown."""

import importlib
import inspect
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Any, get_args

from pydantic import BaseModel

import keras_ccsam as cc
from benchmarks.page_tables import markdown, percent, results
from keras_ccsam import declare, recipes
from keras_ccsam.options import expected
from keras_ccsam.recipes import toml
from keras_ccsam.recipes.reference import Entry, as_toml

PUBLIC = (
    "sharpness",
    "losses",
    "heads",
    "callbacks",
    "second_stage",
    "m2m",
    "layers",
    "models",
    "terms",
)
MEASURED = {
    "digits-lt": "the digits, three seeds",
    "digits-lt-balancing": "the digits, the same three seeds",
    "digits-lt-rows": "the digits, three seeds, several rows for each image",
    "digits-lt-cuda": "the digits, three seeds, without mixup",
    "cifar10-lt-small": "CIFAR-10-LT, ResNet-14, two seeds",
    "cifar10-lt-resnet8": "CIFAR-10-LT, ResNet-8, ten epochs, three seeds",
}
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
    parts: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """Its first line."""
        return str(self.said.get("title", self.parts[0].name if self.parts else self.name))

    @property
    def modules(self) -> tuple[str, ...]:
        """Whose docstrings have the formula."""
        return tuple(
            self.said.get("modules")
            or dict.fromkeys(e.place.rpartition(".")[0] for e in self.parts)
        )

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes that it shows."""
        if "recipes" in self.said:
            return tuple(self.said["recipes"])
        # The method alone comes first, then what it is combined with.
        names = {name for entry in self.parts for name in entry.recipes}
        return tuple(sorted(names, key=lambda name: (len(name), name)))


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
    for entry in card.parts:
        text = entry.text
        for heading in ("\nArgs:", "\nRaises:", "\nReturns:", "\nExample:", "\nAttributes:"):
            text = text.partition(heading)[0]
        found.append(text.strip())
    for entry in card.parts:
        if entry.limit is not None:
            at = ", ".join(f"`{key} = {value}`" for key, value in entry.limit.options.items())
            found.append(f"{f'At {at} it' if at else 'It'} is `{entry.limit.other}`.")
    calls = [call for entry in card.parts if (call := _call(entry))]
    if calls:
        found.append(f"In Python: {', '.join(code(calls))}.")
    return "\n\n".join(dict.fromkeys(found))


def formula(card: Card) -> str:
    """The docstrings of the modules, without their first lines and references."""
    return "\n\n".join(_sections(module)[0] for module in card.modules)


def cost(card: Card) -> str:
    """Passes, and the measured steps beside cross-entropy's."""
    found = []
    for entry in card.parts:
        gradients = getattr(declare.find(entry.kind, entry.name).make, "gradients", None)
        found.append((inspect.getdoc(gradients) or "").partition("\n")[0] if gradients else "")
    rows = {row["recipe"]: row for row in results("methods-torch-cpu")["rows"]}
    known = [name for name in card.recipes if name in rows]
    plain = [n for n in known if rows[n]["first_stage_of"] == "ce" and n != "ce"]
    if plain:
        found.append(f"The first stage of {', '.join(code(plain))} is that of cross-entropy.")
    known = [name for name in known if name not in plain]
    if known:
        found.append(
            "A training step of stage 1, times that of cross-entropy, on the digits' small network "
            "(PyTorch, one thread, processor time): "
            + ", ".join(f"`{name}` {rows[name]['cpu_ratio']:.2f}" for name in known)
            + "."
        )
    found.append(card.said.get("cost", ""))
    return "\n\n".join(_wrapped(text) for text in dict.fromkeys(found) if text)


def options_table(card: Card) -> str:
    """Name, what is right, default and explanation of each option."""
    rows = []
    at = card.said.get("at")
    for entry in card.parts if at or "tables" not in card.said else ():
        rows += [
            (at or entry.key, option.name, option.expected, as_toml(option), option.description)
            for option in entry.options
        ]
    for name in card.said.get("tables", ()):
        for key, info in _table(name).model_fields.items():
            kind = info.annotation if not info.metadata else _annotated(info)
            if key == "name" or _is_table(info.annotation):
                continue
            default = "absent" if info.default is None else toml.written(info.default)
            rows.append((name, key, expected(kind), default, info.description or ""))
    if not rows:
        return ""
    cells = [
        (f"`{where}`", f"`{key}`", right, f"`{default}`", text.replace("|", "\\|"))
        for where, key, right, default, text in rows
    ]
    return markdown(("table of the recipe", "option", "value", "default", "what it is"), cells, 5)


def recipe_list(card: Card) -> str:
    """What each recipe is, and the first of them."""
    found = []
    for name in card.recipes:
        recipe = recipes.load(name)
        line = f"- `{name}` ({recipe.variant}): {recipe.description} From: {recipe.source}"
        told = [f"Our readings: {' '.join(recipe.readings)}"] if recipe.readings else []
        if recipe.differs:
            told.append(
                f"The code does otherwise in {len(recipe.differs)} points, which "
                f"`ccsam recipes show {name}` lists."
            )
        told.append(recipe.note)
        found.append(_wrapped(" ".join([line, *filter(None, told)]), "  "))
    if not card.recipes:
        return ""
    first = card.recipes[0]
    folder = resources.files("keras_ccsam.recipes") / "methods"
    text = (folder / f"{first}.toml").read_text(encoding="utf-8").strip()
    # What the file says of itself stands above.
    code = text[text.index("\n[") :].strip()
    base = tomllib.loads(text).get("base")
    code = f'base = "{base}"\n\n{code}' if base else code
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


def _module(entry: Entry) -> str:
    return entry.place.rpartition(".")[0]


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


def _call(entry: Entry) -> str:
    """How a class is made in Python; empty for what is not public."""
    made = declare.find(entry.kind, entry.name).make
    name = getattr(made, "__name__", "")
    for room in PUBLIC:
        if inspect.isclass(made) and getattr(getattr(cc, room), name, None) is made:
            counts = (
                ["class_counts"] if "class_counts" in inspect.signature(made).parameters else []
            )
            values = [f"{option.name}={option.default!r}" for option in entry.options]
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


def code(words: Iterable[str]) -> list[str]:
    return [f"`{word}`" for word in words]
