"""JSON files for people, written whole."""

import json
import re
from pathlib import Path
from typing import Any

from keras_ccsam import atomic
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.manifest import Damaged

_PLAIN_LIST = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON for people: indented, a list of plain values on one line, null for NaN."""
    atomic.write_text(path, json_text(content))


def json_text(content: dict[str, Any]) -> str:
    """Return what `write_json` writes."""
    text = json.dumps(metrics_log.finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    return _PLAIN_LIST.sub(lambda found: "[" + re.sub(r"\n\s*", " ", found[1]) + "]", text) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        Damaged: the file is absent or broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"cannot read {path.name}: {error}. Received: path={str(path)!r}") from (None)
    if not isinstance(content, dict):
        raise Damaged(f"{path.name} must hold an object. Received: path={str(path)!r}")
    return content
