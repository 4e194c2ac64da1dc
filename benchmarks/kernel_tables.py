"""The tables of kernels by themselves."""

from typing import Any

from benchmarks import record
from benchmarks.tables import markdown, number

PARTS = {
    "attention": "attention",
    "layer_norm": "LayerNorm",
    "mlp": "two dense layers with GELU",
    "steps": "four whole steps of CC-SAM",
}


def _rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = record.load(record.RESULTS / f"{name}-cpu.json")["rows"]
    return found


def convolutions() -> str:
    """The convolutions of a ResNet-32, each by itself."""
    names = ("pytorch", "cut", "plain", "clean", "moved")
    cells = [
        (
            f"{row['size']} x {row['size']} x {row['channels']}",
            backend,
            *(number(row, f"{name}_cpu_ms") for name in names),
            f"{row['cc_sam']:.2f}",
            f"{row['limit']:.2f}",
            f"{row['beside_pytorch']:.2f}",
        )
        for backend in ("torch", "jax", "tensorflow")
        for row in _rows(f"convolution_kernels-{backend}")
    ]
    parts = ("PyTorch, ms", "cut", "plain", "clean", "moved")
    ratios = ("clean + moved, x plain", "1 + cut / PyTorch", "plain, x PyTorch")
    return markdown(("images", "backend", *parts, *ratios), cells, 2)


def transformer() -> str:
    """The parts of a vision transformer on JAX, each by itself."""
    cells = [
        (
            PARTS[row["part"]],
            *(number(row, f"{name}_cpu_ms", 1) for name in ("pytorch", "keras", "ours")),
            *(f"{row[f'{name}_beside_pytorch']:.2f}" for name in ("keras", "ours")),
        )
        for row in _rows("transformer_kernels-jax")
    ]
    heads = ("PyTorch, ms", "Keras on JAX", "ours on JAX", "Keras, x PyTorch", "ours, x PyTorch")
    return markdown(("part", *heads), cells)
