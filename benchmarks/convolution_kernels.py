"""The convolutions of a ResNet-32, each by itself: what a step costs at best on a backend.

Of one 3 x 3 convolution of each of the three stages, forward and back, interleaved in one process:

* `pytorch`: PyTorch's own, on images whose channels lie side by side in memory;
* `cut`: the same convolution with the same kernel, but a call for each class of the batch: what it
  costs to cut a batch up, whatever the kernels are;
* `plain`: the backend's convolution of a batch with one kernel, as in cross-entropy;
* `clean`: the same, with the kernel's gradient summed class by class: the first pass of CC-SAM of
  all weights;
* `moved`: with the kernel of each image's class: its second pass.

Each is the forward pass, the gradient of the images and that of the kernels: the same number of
products. So `clean` and `moved` together over `plain` would be 2 if all products took equally long,
and is the convolutions' part of CC-SAM's price. Half of these six products are of one class each,
so 1 + `cut` / `pytorch` is the least that PyTorch's convolutions allow. `plain` over `pytorch` is
their part of what a backend takes more than PyTorch. Ratios are medians over the rounds, in
processor time.

    KERAS_BACKEND=jax python benchmarks/convolution_kernels.py [--batch 128] [--rounds 7]

Writes benchmarks/results/convolution_kernels-<backend>-<device>.json and prints a table.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.timing import arrays, processor_times, spread

STAGES = ((32, 16), (16, 32), (8, 64))
KEY = ("batch", "size", "channels")


def contenders(batch: int, size: int, channels: int) -> dict[str, Callable[[], Any]]:
    """Functions that compute and wait."""
    import numpy as np
    import torch
    from keras import ops

    from keras_ccsam import backend

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    _, labels, _ = arrays(batch, 100, 1)
    present, slots = np.unique(labels, return_inverse=True)

    def numbers(*shape: int) -> Any:
        return rng.normal(size=shape).astype("float32")

    image, window = (batch, size, size, channels), (3, 3, channels, channels)
    x, weigh, kernel, rows = (
        numbers(*shape) for shape in (image, image, window, (len(present), *window))
    )
    options = ((1, 1), "same", (1, 1))

    def of_backend(convolve: Callable[..., Any], *given: Any) -> Callable[[], Any]:
        def both(a: Any, b: Any, weigh: Any, *more: Any) -> Any:
            return backend.value_and_grad(
                lambda v: (ops.sum(convolve(*v, *more) * weigh), ()), [a, b]
            )

        run = backend.compiled(both)
        tensors = [ops.convert_to_tensor(each) for each in given]

        def waited() -> None:
            (value, _), _ = run(*tensors)
            ops.convert_to_numpy(value)

        return waited

    images = torch.tensor(x).permute(0, 3, 1, 2).requires_grad_(True)
    turned = torch.tensor(kernel).permute(3, 2, 0, 1)
    turned = turned.contiguous(memory_format=torch.channels_last).requires_grad_(True)
    weighed = torch.tensor(weigh).permute(0, 3, 1, 2)

    def by_torch() -> None:
        out = torch.nn.functional.conv2d(images, turned, padding=1)
        torch.autograd.grad(torch.sum(out * weighed), [images, turned])

    sizes = np.bincount(slots).tolist()
    pieces = [each.detach().split(sizes) for each in (images, weighed)]
    one_kernel, arguments = turned.detach(), ([1, 1], [1, 1], [1, 1])

    def cut() -> None:
        # No sums, no copies: the calls alone.
        for piece, gradient in zip(*pieces, strict=True):
            torch.conv2d(piece, one_kernel, None, *arguments)
            torch.ops.aten.convolution_backward(
                gradient, piece, one_kernel, None, *arguments, False, [0, 0], 1, [True, True, False]
            )

    def plain(x: Any, kernel: Any) -> Any:
        return backend.convolution(x, kernel, (1, 1), "same", "channels_last", (1, 1))

    def clean(x: Any, rows: Any, kernel: Any, slots: Any) -> Any:
        return backend.moved_convolution(x, kernel, rows, None, slots, *options)

    def moved(x: Any, kernel: Any, rows: Any, lengths: Any, slots: Any) -> Any:
        return backend.moved_convolution(x, kernel, rows, lengths, slots, *options)

    # As the batch lies in a step: class by class.
    slots = np.sort(slots.astype("int32"))
    lengths = numbers(len(present))
    return {
        "pytorch": by_torch,
        "cut": cut,
        "plain": of_backend(plain, x, kernel, weigh),
        "clean": of_backend(clean, x, 0 * rows, weigh, kernel, slots),
        "moved": of_backend(moved, x, kernel, weigh, rows, lengths, slots),
    }


def measure(batch: int, size: int, channels: int, rounds: int) -> record.Row:
    """Milliseconds of each, and the ratios."""
    who = contenders(batch, size, channels)
    times = processor_times(who, rounds)
    row: record.Row = {"batch": batch, "size": size, "channels": channels, "rounds": rounds}
    row |= {f"{name}_cpu_ms": round(median(own), 2) for name, own in times.items()}
    both = zip(times["clean"], times["moved"], times["plain"], strict=True)
    row |= spread("cc_sam", [(clean + moved) / plain for clean, moved, plain in both])
    of_torch = zip(times["cut"], times["pytorch"], strict=True)
    row |= spread("limit", [1 + cut / whole for cut, whole in of_torch])
    row |= spread(
        "beside_pytorch", [a / b for a, b in zip(times["plain"], times["pytorch"], strict=True)]
    )
    return row


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    import keras

    backend = keras.backend.backend()
    path = record.results_file(f"convolution_kernels-{backend}", record.device(), options.out)
    rows = []
    print("images          pytorch     cut   plain   clean   moved ms   CC-SAM  limit  x PyTorch")
    for size, channels in STAGES:
        row = measure(options.batch, size, channels, options.rounds)
        rows.append(row)
        numbers = [row[f"{name}_cpu_ms"] for name in ("pytorch", "cut", "plain", "clean", "moved")]
        print(
            f"{size:3} x {size:2} x {channels:2}  ",
            *(f"{each:7.1f}" for each in numbers),
            f"{row['cc_sam']:11.2f} {row['limit']:6.2f} {row['beside_pytorch']:9.2f}",
            flush=True,
        )
    record.save(path, rows, KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
