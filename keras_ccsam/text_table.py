"""Tables of results, as aligned text and as Markdown."""

import statistics
from collections.abc import Sequence


def shown(text: str) -> str:
    r"""Return a text as a line of a terminal can show it.

    Names come from folders and files of anybody's: a line break would break the table, and an
    escape sequence would command the terminal. Both are written as Python writes them, `\n` and
    `\x1b`, and so are bytes of a file's name that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()
) -> str:
    """Lines of columns two spaces apart, under a rule.

    Args:
        header: one heading per column.
        rows: the cells, each row as long as `header`.
        left: headings of further columns to align on the left, as the first one is; text usually.
    """
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    on_left = [i == 0 or heading in left for i, heading in enumerate(header)]

    def line(cells: Sequence[str]) -> str:
        columns = zip(cells, widths, on_left, strict=True)
        return "  ".join(c.ljust(w) if text else c.rjust(w) for c, w, text in columns).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with the same alignment."""
    marks = ["---"] + ["---:"] * (len(header) - 1)
    cells = [[shown(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, marks, *cells))


def mean_std(values: Sequence[float | None], scale: float = 1.0, digits: int = 2) -> str:
    """Return "mean ± standard deviation" of the sample (n - 1); the mean alone of one value.

    A missing value makes the cell "-": a mean over other seeds than its neighbours' would mislead.
    """
    numbers = [scale * value for value in values if value is not None]
    if not numbers or len(numbers) < len(values):
        return "-"
    mean = f"{statistics.fmean(numbers):.{digits}f}"
    if len(numbers) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(numbers):.{digits}f}"
