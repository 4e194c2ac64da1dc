"""The names of recipes, settings and tables, which are files beside this one, and of parts outside.

It needs the standard library alone: the command line asks it before Keras is imported.
"""

import functools
import os
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TypeGuard

from keras_ccsam.data.sources.recognise import KINDS, kind_of_file
from keras_ccsam.hints import did_you_mean

_HERE = Path(__file__).resolve().parent
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_dotted(name: object) -> TypeGuard[str]:
    """Whether a name is that of a part from outside, "module:Class"."""
    return isinstance(name, str) and _DOTTED.fullmatch(name) is not None


@functools.cache
def installed(kind: str) -> Mapping[str, metadata.EntryPoint]:
    """Return the parts of a kind that installed packages have, by name."""
    return {point.name: point for point in metadata.entry_points(group=f"keras_ccsam.{kind}")}


def is_own_data(name: str) -> bool:
    """Whether a dataset is the user's own: from outside the package, or files of a known kind."""
    return is_dotted(name) or name in KINDS or name in installed("data")


def is_path(data: str) -> bool:
    """Whether `--data` is given a path, and no name.

    What is there, has a folder before it or ends like a dataset's file is meant as a path, unless
    the package has a dataset of that name.
    """
    if data in stems("settings") or is_own_data(data):
        return False
    return bool(set("/\\") & set(data)) or kind_of_file(data) is not None or os.path.exists(data)


PROTOCOLS = ("ablation", "main")
_MAIN = "-main"


def with_protocol(data: str | None, protocol: str | None) -> str | None:
    """Return the setting that stands for a dataset under a protocol of the CC-SAM paper.

    Args:
        data: a setting, or None for the default one.
        protocol: "ablation", the settings as they are: mixup; "main": AutoAugment and Cutout
            in its place; None: `data` as it is.

    Raises:
        ValueError: there is no such protocol, or that dataset has not both.
    """
    if protocol is None:
        return data
    if protocol not in PROTOCOLS:
        near = did_you_mean(protocol, PROTOCOLS) or "."
        raise ValueError(
            f"a protocol is one of {', '.join(PROTOCOLS)}{near} Received: protocol={protocol!r}"
        )
    both = [name.removesuffix(_MAIN) for name in stems("settings") if name.endswith(_MAIN)]
    plain = (data or "digits-lt").removesuffix(_MAIN)
    if plain not in both:
        raise ValueError(
            f"the two protocols are of {', '.join(both)}; name one of them as the data. Received: "
            f"protocol={protocol!r} with data={data!r}"
        )
    return plain + _MAIN if protocol == "main" else plain


def stems(folder: str) -> tuple[str, ...]:
    """Return the names in `"methods"`, `"settings"` or `"tables"`, sorted."""
    return tuple(sorted(path.stem for path in (_HERE / folder).glob("*.toml")))


def check(kind: str, name: object, folder: str) -> None:
    """Refuse a name that is none of a folder's.

    Args:
        kind: what the message calls it, and the argument that was received.
        name: what the user wrote.
        folder: as in `stems`.

    Raises:
        ValueError: with the closest name, and all there are.
    """
    if name not in stems(folder):
        raise ValueError(f"unknown {kind} {listed(name, folder)}. Received: {kind}={name!r}")


def listed(name: object, folder: str) -> str:
    """Return `'cse'; did you mean 'ce'? (known: ce, ...)`."""
    there = stems(folder)
    return f"{name!r}{did_you_mean(name, there, cutoff=0.5)} (known: {', '.join(there)})"


def user_file(name: str) -> Path | None:
    """Return the file that stands for a recipe; None where it is one of the package.

    What ends like a file or has a folder before it is meant as a file.

    Raises:
        ValueError: there is neither a recipe nor a file of that name.
    """
    if name in stems("methods"):
        return None
    path = Path(name)
    try:
        if path.is_file():
            return path
        folder, beside = path.is_dir(), sorted(file.name for file in path.parent.glob("*.toml"))
    except OSError:  # a name that is too long for a file
        folder, beside = False, []
    if folder:
        raise ValueError(
            "this is a folder, and a recipe is a name or a TOML file, such as the recipe.toml of "
            f"a run. Received: recipe={name!r}"
        )
    if not path.suffix and not set("/\\") & set(name):
        check("recipe", name, "methods")
    if path.name.removesuffix(".toml") in stems("methods"):
        hint = f"; the package's own recipe is called {path.stem!r}."
    else:
        stems_beside = [other.removesuffix(".toml") for other in beside]
        near = did_you_mean(path.stem, stems_beside, cutoff=0.5)
        hint = near.replace("'?", ".toml'?") or "."
    raise ValueError(f"there is no such recipe file: {name!r}{hint} Received: recipe={name!r}")


def builtin(folder: str, name: str) -> str:
    """Return the text of a file of the package; folder and name as `stems` has them."""
    return (_HERE / folder / f"{name}.toml").read_text(encoding="utf-8")


def read(path: Path) -> str:
    """Return the text of a recipe file.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(
            f"cannot read the recipe file: {reason}. Received: recipe={str(path)!r}"
        ) from None
