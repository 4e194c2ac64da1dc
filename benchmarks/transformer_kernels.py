"""The parts of a vision transformer, each by itself: what a step costs at best on a backend.

Of one block of the small transformer of `networks.py` (64 tokens of 64, four heads), forward and
back, interleaved in one process:

* `attention`: of queries, keys and values, without their projections;
* `layer_norm`: along the last axis, with scale and offset;
* `mlp`: two dense layers and the exact GELU between them;
* `steps`: four whole steps of CC-SAM of the transformer, beside four of PyTorch's cross-entropy,
  on Keras' layers (`keras`) and on those that `models.accelerate` switches to (`ours`).

Each by PyTorch's own kernels (`pytorch`), by `keras.ops` (`keras`), and by the kernel of this
package where the backend has one (`ours`; the same as `keras` elsewhere). Ratios are medians over
the rounds, in processor time.

    KERAS_BACKEND=jax python benchmarks/transformer_kernels.py [--batch 128] [--rounds 15]

Writes benchmarks/results/transformer_kernels-<backend>-<device>.json and prints a table.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.timing import processor_times, spread

TOKENS, WIDTH, HEADS = 64, 64, 4
EPSILON = 1e-3
PARTS = ("attention", "layer_norm", "mlp")
STEPS = 4
KEY = ("batch", "part")

Part = dict[str, Callable[..., Any]]


def functions(part: str) -> Part:
    """What PyTorch, Keras and this package compute, of tensors (B, T, ..)."""
    import torch
    from keras import ops

    from keras_ccsam import backend

    nn = torch.nn.functional
    if part == "attention":
        scale = (WIDTH // HEADS) ** -0.5

        def by_torch(*given: Any) -> Any:
            heads = (each.transpose(1, 2) for each in given)
            return nn.scaled_dot_product_attention(*heads).transpose(1, 2)

        return {
            "pytorch": by_torch,
            "keras": lambda *given: ops.dot_product_attention(*given, scale=scale),
            "ours": lambda *given: backend.attention(*given, scale),
        }
    if part == "layer_norm":
        return {
            "pytorch": lambda x, *given: nn.layer_norm(x, (WIDTH,), *given, EPSILON),
            "keras": lambda *given: ops.layer_normalization(*given, epsilon=EPSILON),
            "ours": lambda *given: backend.layer_normalization(*given, EPSILON),
        }

    def ours(x: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        first = backend.dense(x, a)
        if first is None:
            return None
        return backend.dense(ops.gelu(first + b, approximate=False), c) + d

    return {
        "pytorch": lambda x, a, b, c, d: nn.gelu(x @ a + b) @ c + d,
        "keras": lambda x, a, b, c, d: ops.gelu(x @ a + b, approximate=False) @ c + d,
        "ours": ours,
    }


def inputs(part: str, batch: int) -> list[Any]:
    """Arrays that the functions take, and the one that their result is weighed with."""
    import numpy as np

    rng = np.random.default_rng(0)
    tokens = (batch, TOKENS, WIDTH)
    heads = (batch, TOKENS, HEADS, WIDTH // HEADS)
    shapes = {
        "attention": [heads] * 4,
        "layer_norm": [tokens, (WIDTH,), (WIDTH,), tokens],
        "mlp": [tokens, (WIDTH, 2 * WIDTH), (2 * WIDTH,), (2 * WIDTH, WIDTH), (WIDTH,), tokens],
    }[part]
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def contenders(part: str, batch: int) -> dict[str, Callable[[], Any]]:
    """Functions that compute a part and its gradients, and wait."""
    import torch
    from keras import ops

    from keras_ccsam import backend

    torch.set_num_threads(1)
    arrays = inputs(part, batch)
    own = [torch.tensor(each) for each in arrays]
    for tensor in own[:-1]:
        tensor.requires_grad_(True)
    given = [ops.convert_to_tensor(each) for each in arrays]
    known = functions(part)

    def by_torch() -> None:
        value = torch.sum(known["pytorch"](*own[:-1]) * own[-1])
        torch.autograd.grad(value, own[:-1])

    def of_backend(name: str) -> Callable[[], Any]:
        def both(weigh: Any, *values: Any) -> Any:
            return backend.value_and_grad(
                lambda v: (ops.sum(known[name](*v) * weigh), ()), list(values)
            )

        run = backend.compiled(both)

        def waited() -> None:
            (value, _), _ = run(given[-1], *given[:-1])
            ops.convert_to_numpy(value)

        return waited

    has_own = known["ours"](*given[:-1]) is not None
    names = ("keras", "ours") if has_own else ("keras",)
    return {"pytorch": by_torch, **{name: of_backend(name) for name in names}}


def whole_steps(batch: int) -> dict[str, Callable[[], Any]]:
    """Functions that train the whole transformer for some steps, from the same weights."""
    from benchmarks.versus import keras_contenders, pytorch_contenders
    from benchmarks.versus.setting import Setting
    from keras_ccsam.layers.fast import STOCK, switch

    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")
        setting = Setting("vit", batch, 10, STEPS, "float32", 1, weights)
        keras_contenders.save_weights(setting)
        by_torch = pytorch_contenders.contenders(setting, ["ce"])["ce"]
        x, y, counts = setting.arrays()
        keras_model, own = (keras_contenders.compiled("ccsam", setting, counts) for _ in range(2))
    switch(keras_model, STOCK)

    def fit(model: Any) -> Callable[[], Any]:
        return lambda: model.fit(x, y, batch, shuffle=False, verbose=0)

    return {"pytorch": lambda: by_torch(STEPS), "keras": fit(keras_model), "ours": fit(own)}


def measure(part: str, batch: int, rounds: int) -> record.Row:
    """Milliseconds of each, and the ratios to PyTorch."""
    who = whole_steps(batch) if part == "steps" else contenders(part, batch)
    times = processor_times(who, rounds)
    times = {"ours": times["keras"], **times}
    row: record.Row = {"batch": batch, "part": part, "rounds": rounds}
    row |= {f"{name}_cpu_ms": round(median(own), 2) for name, own in sorted(times.items())}
    for name in ("keras", "ours"):
        ratios = [a / b for a, b in zip(times[name], times["pytorch"], strict=True)]
        row |= spread(f"{name}_beside_pytorch", ratios)
    return row


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    import keras

    backend = keras.backend.backend()
    path = record.results_file(f"transformer_kernels-{backend}", record.device(), options.out)
    rows = []
    print("part          pytorch   keras    ours ms   keras, ours x PyTorch")
    for part in (*PARTS, "steps"):
        row = measure(part, options.batch, options.rounds)
        rows.append(row)
        numbers = [row[f"{name}_cpu_ms"] for name in ("pytorch", "keras", "ours")]
        print(
            f"{part:12}",
            *(f"{each:7.1f}" for each in numbers),
            *(f"{row[f'{name}_beside_pytorch']:9.2f}" for name in ("keras", "ours")),
            flush=True,
        )
    record.save(path, rows, KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
