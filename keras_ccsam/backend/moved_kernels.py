"""Convolutions with a kernel for each image, as matrix products of the pixels under it.

For TensorFlow, which has none but one by one. Unfolded, the images of a batch and their kernels are
one batched product; so are the gradients of the kernels, and those of the images are products of
the unfolded output gradients with the kernels turned round.
"""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_ccsam.backend.padding import same_padding, span
from keras_ccsam.typing import Tensor

Sides = Sequence[tuple[int, int]]


def moved_by(
    value_and_grad: Callable[..., Any], convolution: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """`moved_convolution`, of a framework's gradient and its own convolution of whole batches."""

    def moved_convolution(
        x: Tensor,
        kernel: Tensor,
        rows: Tensor,
        lengths: Tensor | None,
        slots: Tensor,
        strides: Sequence[int],
        padding: str,
        dilation: Sequence[int],
        known: Tensor | None = None,
    ) -> Tensor:
        """The convolution of each image with its own kernel; see `keras_ccsam.backend`."""
        window = tuple(kernel.shape[:2])
        sizes = list(zip(x.shape[1:3], window, strides, dilation, strict=True))
        same = padding == "same"
        sides = [same_padding(*size) if same else (0, 0) for size in sizes]

        def whole(x: Tensor, kernel: Tensor) -> Tensor:
            kernel = ops.cast(kernel, x.dtype)
            return convolution(x, kernel, strides, padding, "channels_last", dilation)

        def whole_gradient(fn: Callable[[Tensor], Tensor], at: Tensor, out: Tensor) -> Tensor:
            # Linear in `at`, so what the loss itself is plays no part, and is not computed.
            found: Tensor = value_and_grad(lambda v: (ops.sum(fn(v[0]) * out), ()), [at])[1][0]
            return found

        def of_kernels(x: Tensor, out: Tensor) -> Tensor:
            found = ops.matmul(ops.transpose(_flat(unfold(x)), (0, 2, 1)), _flat(out))
            found = ops.reshape(found, (-1, *kernel.shape))
            return ops.segment_sum(found, slots, rows.shape[0])

        def kernels(kernel: Tensor, rows: Tensor, lengths: Tensor) -> Tensor:
            steps = ops.reshape(ops.take(lengths, slots), (-1, 1, 1, 1, 1))
            return ops.cast(kernel + steps * ops.take(rows, slots, axis=0), x.dtype)

        def unfold(x: Tensor) -> Tensor:
            return unfolded(ops.pad(x, ((0, 0), *sides, (0, 0))), window, strides, dilation)

        @ops.custom_gradient
        def convolve(x: Tensor, kernel: Tensor, rows: Tensor) -> Any:
            own = None if lengths is None else kernels(kernel, rows, lengths)
            if own is not None:
                value = _products(unfold(x), own)
            else:
                value = whole(x, kernel) if known is None else known

            def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
                out = args[0] if upstream is None else upstream
                if own is None:
                    of_x = whole_gradient(lambda x: whole(x, kernel), x, out)
                else:
                    around = spread_gradient(out, sizes, sides)
                    of_x = _products(unfolded(around, window, (1, 1), dilation), turned(own))
                of_kernel = whole_gradient(lambda kernel: whole(x, kernel), kernel, out)
                of_rows = ops.zeros_like(rows) if own is not None else of_kernels(x, out)
                return of_x, of_kernel, of_rows

            return value, gradient

        result: Tensor = convolve(x, kernel, rows)
        return result

    return moved_convolution


def unfolded(
    x: Tensor, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """(B, rows, columns, height x width x channels): the pixels under the kernel at each place."""
    for axis in (2, 1):  # the inner axis first: what is then joined lies together
        taps, stride, rate = window[axis - 1], strides[axis - 1], dilation[axis - 1]
        count = (x.shape[axis] - span(taps, rate)) // stride + 1
        parts = [_every(x, axis, tap * rate, stride, count) for tap in range(taps)]
        x = parts[0] if taps == 1 else ops.concatenate(parts, axis=-1)
    return x


def spread_gradient(out: Tensor, sizes: Sequence[Any], sides: Sides) -> Tensor:
    """The output gradients, spread by the strides, with zeros around.

    What the turned kernel takes of them in strides of 1, without more zeros, is the gradient of the
    images. `sizes` has (pixels, taps, stride, dilation) of both axes, `sides` the zeros that were
    before and after the pixels.
    """
    around, cut = [], []
    for axis, ((size, taps, stride, rate), (before, after)) in enumerate(
        zip(sizes, sides, strict=True), start=1
    ):
        count = out.shape[axis]
        out = _spread(out, axis, stride)
        reach = span(taps, rate)
        left_over = size + before + after - ((count - 1) * stride + reach)
        first, last = reach - 1 - before, reach - 1 - after + left_over
        around.append((max(first, 0), max(last, 0)))
        cut.append((max(-first, 0), max(-last, 0)))
    out = ops.pad(out, ((0, 0), *around, (0, 0)))
    for axis, (first, last) in enumerate(cut, start=1):
        out = _every(out, axis, first, 1, out.shape[axis] - first - last)
    return out


def turned(kernels: Tensor) -> Tensor:
    """Kernels (B, height, width, channels, filters), from filters to channels and from the end."""
    return ops.transpose(ops.flip(kernels, axis=(1, 2)), (0, 1, 2, 4, 3))


def _products(below: Tensor, kernels: Tensor) -> Tensor:
    """Each image's pixels with its own kernel (B, height, width, channels, filters)."""
    filters = kernels.shape[-1]
    product = ops.matmul(_flat(below), ops.reshape(kernels, (-1, below.shape[-1], filters)))
    return ops.reshape(product, (-1, *below.shape[1:3], filters))


def _flat(images: Tensor) -> Tensor:
    rows, columns, channels = images.shape[1:]
    return ops.reshape(images, (-1, rows * columns, channels))


def _every(x: Tensor, axis: int, first: int, step: int, count: int) -> Tensor:
    part = slice(first, first + (count - 1) * step + 1, step)
    return x[:, part] if axis == 1 else x[:, :, part]


def _spread(x: Tensor, axis: int, stride: int) -> Tensor:
    """`stride - 1` zeros between neighbours."""
    if stride == 1:
        return x
    shape = list(x.shape)
    count = shape[axis]
    x = ops.expand_dims(x, axis + 1)
    x = ops.pad(x, [(0, stride - 1 if i == axis + 1 else 0) for i in range(len(shape) + 1)])
    shape[0], shape[axis] = -1, count * stride
    return _every(ops.reshape(x, shape), axis, 0, 1, (count - 1) * stride + 1)
