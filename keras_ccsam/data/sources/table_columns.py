"""Tables of columns from CSV and Parquet files; every value is text or a number."""

import csv
import importlib.util
import io
from pathlib import Path
from typing import Any

from keras_ccsam.text_table import shown

Columns = dict[str, list[Any]]

# How tables spell what they have, in lower case; the first that is there is taken.
SPELLINGS = {
    "path": ("path", "file", "filename", "file_name", "image", "image_path", "filepath", "img"),
    "label": ("label", "class", "target", "category", "species", "class_name", "category_id"),
    "split": ("split", "subset", "set", "partition"),
    "group": ("group", "group_id", "patient", "patient_id", "camera", "site", "subject"),
}


def read_columns(file: Path) -> Columns:
    """The columns of a table by name.

    Args:
        file: a CSV (separated by commas, semicolons or tabs), or a Parquet file.

    Raises:
        ValueError: it cannot be read, has no header, or a row has another number of values.
    """
    parquet = file.suffix.lower() == ".parquet"
    columns = _of_parquet(file) if parquet else _of_csv(file)
    if not columns or not next(iter(columns.values())):
        raise ValueError(f"the table has no row. Received: path={str(file)!r}")
    return columns


def column(columns: Columns, role: str, named: str, file: Path) -> str | None:
    """The name of the column that has a role; None where it may be absent and is.

    Args:
        columns: of the table.
        role: a key of `SPELLINGS`.
        named: what the user calls it; empty: as tables usually spell it.
        file: of the table.

    Raises:
        ValueError: there is no such column, or none of a path or a label.
    """
    if named:
        if named in columns:
            return named
        raise ValueError(
            f"the table has no column {named!r}; it has {shown(', '.join(columns))}. "
            f"Received: data.{role}_column={named!r} of {str(file)!r}"
        )
    low = {name.strip().lower(): name for name in reversed(columns)}
    # Weights change what is learned, so that they are taken only where they are named.
    spellings = () if role == "weight" else SPELLINGS[role]
    found = next((low[name] for name in spellings if name in low), None)
    if found is None and role in ("path", "label"):
        raise ValueError(
            f"the table has no column that is called like a {role} ({', '.join(SPELLINGS[role])}): "
            f"name it with data.{role}_column. Received: {str(file)!r} with the columns "
            f"{shown(', '.join(columns))}"
        )
    return found


def row_name(file: Path, row: int) -> str:
    """What messages call a row: of a CSV, the first below the header is row 2."""
    first = 0 if file.suffix.lower() == ".parquet" else 2
    return f"row {row + first} of {file.name}"


def _of_csv(file: Path) -> Columns:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _unreadable(file, (error.strerror or str(error)).lower()) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unreadable(file, f"line {line} is no UTF-8 text") from None
    if "\0" in text:
        raise _unreadable(file, "it is no text")
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] = []
    values: list[list[str]] = []
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if not names:
                names = [name.strip() for name in row]
                values = [[] for _ in names]
                _check_header(names, file)
                continue
            if len(row) != len(names):
                raise ValueError(
                    f"line {rows.line_num} of {file.name} has {len(row)} values for "
                    f"{len(names)} columns. Received: line={separator.join(row)[:80]!r}"
                )
            for kept, cell in zip(values, row, strict=True):
                kept.append(cell.strip())
    except csv.Error as error:
        raise _unreadable(file, f"line {rows.line_num}: {error}") from None
    return dict(zip(names, values, strict=True))


def _check_header(names: list[str], file: Path) -> None:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(
            f"the table has two columns of one name. Received: column={repeated[0]!r} of "
            f"{str(file)!r}"
        )


def _of_parquet(file: Path) -> Columns:
    if importlib.util.find_spec("pyarrow") is None:
        raise ValueError(
            "a Parquet table is read with pyarrow, which is not installed: pip install "
            f"'keras-ccsam[table]', or save it as CSV. Received: path={str(file)!r}"
        )
    import pyarrow
    import pyarrow.parquet

    try:
        # Columns of pictures or lists are none of ours, and may be large.
        schema = pyarrow.parquet.read_schema(file)
        plain = [field.name for field in schema if _is_plain(field.type)]
        table = pyarrow.parquet.read_table(file, columns=plain)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = shown(" ".join(str(error).split())[:120].rstrip("."))
        raise _unreadable(file, reason or "it is no Parquet") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _is_plain(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_floating)
    return any(test(kind) for test in tests) or types.is_boolean(kind)


def _unreadable(file: Path, reason: str) -> ValueError:
    return ValueError(f"the table cannot be read: {reason}. Received: path={str(file)!r}")
