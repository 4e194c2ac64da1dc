"""What `make bench-check` said of itself, as `--record` kept it."""

from benchmarks import record
from benchmarks.record import Row
from benchmarks.side_by_side import judgement
from benchmarks.side_by_side.judgement import NOT_SLOWER, SLOWER, UNDECIDED
from benchmarks.tables import grouped, markdown

HEADS = (
    *("check", "put in", "backend", "load", "rows", "slower", "not slower", "undecided"),
    *("medians, processor time", "minutes"),
)


def checks() -> str:
    """A line for each check and backend."""
    rows = record.load(record.RESULTS / "bench-check.json")["rows"]
    cells = [
        _line(str(began), str(backend), found)
        for (began, backend), found in grouped(rows, ("began", "backend"))
    ]
    return markdown(HEADS, cells, 3)


def _line(began: str, backend: str, found: list[Row]) -> tuple[str, ...]:
    by_row = {name: own for (name,), own in grouped(found, ("row",))}
    said = [judgement.settled([row["verdict"] for row in own]) for own in by_row.values()]
    medians = [row["cpu_ratio"] for row in found if "cpu_ratio" in row]
    loads = [row["load"] for row in found if "load" in row]
    return (
        began[:16].replace("T", " "),
        f"{found[0]['plant']:.0%}" if found[0]["plant"] else "nothing",
        backend,
        f"{min(loads):.0f} to {max(loads):.0f}" if loads else "not kept",
        str(len(by_row)),
        *(str(said.count(kind)) for kind in (SLOWER, NOT_SLOWER, UNDECIDED)),
        f"{min(medians):.3f} to {max(medians):.3f}" if medians else "",
        f"{sum(row['seconds'] for row in found) / 60:.0f}",
    )
