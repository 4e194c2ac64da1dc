"""Files of one JSON object per line, read while somebody writes them.

It imports the standard library alone: `ccsam watch` reads the records of a run without Keras.
"""

import json
import os
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read(path: str | os.PathLike[str]) -> list[Record]:
    """Return the records of a JSON-lines file; none if it is absent, the last only if complete.

    Raises:
        ValueError: a line before the last is no JSON object.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    # What follows the last end of a line is still being written, or was cut short by a crash.
    lines = content.split(b"\n")[:-1]
    try:
        records = [json.loads(line) for line in lines if line]
        if not all(isinstance(record, dict) for record in records):
            raise ValueError("a line holds no object")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a file of JSON lines: {error}. Received: path={str(path)!r}") from (
            None
        )
    return records
