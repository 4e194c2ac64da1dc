"""A recipe checked without Keras is refused in the words of the full check, or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import recipe_schema
from keras_ccsam import recipes
from keras_ccsam.recipes import shipped
from keras_ccsam.recipes.errors import keys, slots
from keras_ccsam.recipes.schema import Recipe

pytestmark = pytest.mark.any_backend

WRONG = ("-1.5", "word", "{a=1}")


def said(check, *arguments) -> str | None:
    try:
        check(*arguments)
    except ValueError as error:
        return str(error)
    return None


def early(name: str, overrides: tuple[str, ...], data: str | None = None) -> str | None:
    return said(shipped.check, [(name, data, ())], overrides)


def full(name: str, overrides: tuple[str, ...], data: str | None = None) -> str | None:
    return said(recipes.load, name, data, overrides)


def test_the_file_is_current() -> None:
    assert shipped.FILE.read_text(encoding="utf-8") == recipe_schema.written(), "make docs"


def test_every_recipe_of_the_package_passes() -> None:
    for data in (*recipes.settings(), None):
        shipped.check([(name, data, ()) for name in recipes.names()], ())


def every_key() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each key that a recipe may have, unknown ones of each part, and what chooses the part."""
    for key in keys(Recipe, of_parts=False):
        yield key, ()
    for path, slot in slots(Recipe):
        # Each part once: the losses of the second stage are those of the first.
        if slot.bare or path[0] == "stage2":
            continue
        place = ".".join(path)
        for name in recipe_schema.ours(slot.kind):
            options = [key for key in slot.table(name).model_fields if key != "name"]
            for key in (*options, "rhoo", "class_counts", "head"):
                if path != ("data",) or key == "head":
                    yield f"{place}.{key}", (f"{place}.name={name}",)


def test_each_value_is_refused_in_the_words_of_the_full_check() -> None:
    silent, refused = [], 0
    for key, chosen in every_key():
        recipe = "ce" if key.startswith("posthoc") else "ccsam"
        for value in WRONG:
            overrides = (*chosen, f"{key}={value}")
            first, whole = early(recipe, overrides), full(recipe, overrides)
            if first is None and whole is not None:
                silent.append(whole)
            else:
                assert first == whole, overrides
                refused += first is not None
    assert refused > 500
    # Rules of several keys are left to the full check.
    rules = ("takes cosines and owns their scale", "needs hard labels", "stage2: `lr_factor`")
    assert not [text for text in silent if not any(rule in text for rule in rules)]


@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [
        ("ce", ("stage1.epochs=0", "stage1.lr=0")),
        ("ce", ("stagel.epochs=3",)),
        ("ce", ("stage2.epochs=3",)),
        ("ce", ("model.backbone=ResNet33",)),
        ("ce", ("model.backbone=ResNet-32", "model.backbone.widht=3")),
        ("ce", ("model.backbone=efficientnetb0", "stage1.epochs=0")),
        ("ce", ("stage1.method=my_lab.gsam.GSAM",)),
        ("ce", ('stage1.augment=["flop"]',)),
        ("ce", ('stage1.augment=[{name="cutout", size=0}]',)),
        ("ce", ('stage1.callbacks=[{name="weight_averagin"}]',)),
        ("ce", ('stage1.callbacks=["weight_averaging", {name="weight_averaging", start=-1}]',)),
        ("crt", ('stage2.callbacks=[{name="weight_averaging", strat=1}]',)),
        ("ce", ('stage1.callbacks=[{name="weight_averaging", train=1}]',)),
        ("ce", ('stage1.callbacks=[{name="weight_averaging", beta=0.9}]',)),
        ("ce", ('stage1.callbacks={name="weight_averaging"}',)),
        ("ce", ("stage1.callbacks=3",)),
        ("ce", ("stage1.augment=3",)),
        ("ce", ('stage1.augment=[{name="random_resized_crop", ratio=0.5}]',)),
        ("ce", ('stage1.augment=[{name="curriculum", without="flip"}]',)),
        ("ce", ("model.backbone={name='resnet32', blocks=3}",)),
        ("ce", ("groups.inclusive=[true]",)),
        ("ccsam", ("stage2=none", "stage1.epochs=x")),
        ("ccsam", ("groups.rule=fifths",)),
        ("ccsam", ("stage1=3",)),
        ("absent.toml", ()),
    ],
)
def test_so_are_these(recipe: str, overrides: tuple[str, ...]) -> None:
    message = full(recipe, overrides)
    assert message is not None
    assert early(recipe, overrides) == message


def test_a_part_from_outside_is_left_to_the_full_check(tmp_path: Path) -> None:
    # The import comes first there, and its error would be another one.
    file = tmp_path / "mine.toml"
    file.write_text('[stage1]\nmethod = "absent_lab:GSAM"\nepochs = -1\n', encoding="utf-8")
    assert early(str(file), ()) is None
    assert "no module 'absent_lab'" in str(full(str(file), ()))
    assert early("ce", ('stage1.augment=["absent_lab:f"]', "stage1.epochs=-1")) is None
    assert early("ce", ('stage1.callbacks=[{name="absent_lab:C", a=1}]', "seed=-1")) is None
    # A key that no recipe has is one whoever made the part.
    assert "did you mean 'stage1.epochs'" in str(early(str(file), ("stage1.epocs=1",)))


def test_a_part_of_an_installed_package_is_left_to_the_full_check(monkeypatch) -> None:
    monkeypatch.setattr(
        shipped.known, "installed", lambda kind: {"lab": None} if kind == "sharpness" else {}
    )
    assert early("ce", ("stage1.method=lab", "stage1.method.anything=1")) is None
    assert "'imbsam', 'lab', 'sam'" in str(early("ce", ("stage1.method=other",)))


def test_a_network_of_keras_is_one_without_importing_it(monkeypatch) -> None:
    assert early("ce", ("model.backbone=Mobile_Net-V2", "model.backbone.alpha=0.5")) is None
    assert early("ce", ("model.backbone=mobilenet9",)) == full("ce", ("model.backbone=mobilenet9",))
    # Where Keras keeps no such list, nothing is refused early.
    monkeypatch.setattr(shipped, "_applications", lambda: None)
    assert early("ce", ("model.backbone=mobilenet9",)) is None
