"""Prints the lowest versions that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lowest(requirements: list[str]) -> list[str]:
    """`name>=1.2` as `name==1.2`; anything else is refused, as its lowest version is unclear."""
    found = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements]
    unclear = [r for r, match in zip(requirements, found, strict=True) if match is None]
    if unclear:
        raise ValueError(f"A requirement is NAME>=VERSION. Received: {unclear}")
    return [f"{match[1]}=={match[2]}" for match in found if match is not None]


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    print(*lowest([*project["dependencies"], *extras]), sep="\n")
