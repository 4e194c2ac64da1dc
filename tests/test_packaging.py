"""pyproject.toml lists what is in the tree: nothing is forgotten, nothing foreign is installed."""

import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.any_backend

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_in_the_tree() -> set[str]:
    """Every folder with Python files below keras_ccsam and cli, under its import name."""
    names = set()
    for folder, name in (("keras_ccsam", "keras_ccsam"), ("cli", "keras_ccsam_cli")):
        for path in (ROOT / folder).rglob("*.py"):
            below = path.parent.relative_to(ROOT / folder).parts
            names.add(".".join((name, *below)))
    return names


def test_the_package_list_is_the_tree(pyproject: dict[str, Any]) -> None:
    listed = pyproject["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == packages_in_the_tree()


def test_every_package_has_an_init_file(pyproject: dict[str, Any]) -> None:
    for package in pyproject["tool"]["setuptools"]["packages"]:
        folder = package.replace("keras_ccsam_cli", "cli").replace(".", "/")
        assert (ROOT / folder / "__init__.py").is_file(), f"{folder} has no __init__.py"


def test_every_data_file_is_in_package_data(pyproject: dict[str, Any]) -> None:
    patterns = pyproject["tool"]["setuptools"]["package-data"]
    shipped = {
        path
        for package, globs in patterns.items()
        for pattern in globs
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    in_the_tree = {
        path
        for path in (ROOT / "keras_ccsam").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert shipped == in_the_tree
    assert ROOT / "keras_ccsam" / "py.typed" in shipped


def test_the_command_line_does_not_claim_the_name_cli(pyproject: dict[str, Any]) -> None:
    assert pyproject["tool"]["setuptools"]["package-dir"] == {"keras_ccsam_cli": "cli"}
    assert pyproject["project"]["scripts"] == {"ccsam": "keras_ccsam_cli.entry:main"}


def test_no_pin_is_a_requirement_of_the_package(pyproject: dict[str, Any]) -> None:
    extras = pyproject["project"]["optional-dependencies"]
    requirements = [*pyproject["project"]["dependencies"], *chain.from_iterable(extras.values())]
    assert not [line for line in requirements if "==" in line], "pins belong in constraints.txt"
    assert set(extras) == {
        "jax",
        "tensorflow",
        "torch",
        "fast",
        "crops",
        "hub",
        "table",
        "onnx",
        "auto",
        "ray",
        "slurm",
        "report",
        "dev",
    }
