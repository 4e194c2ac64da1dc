"""Convolutions with a kernel for each image, on PyTorch.

They are grouped convolutions, one group for each image. oneDNN's kernels for them are nearly as
fast as those of whole batches while what they read and write stays in the processor's cache, so on
a CPU they take a few images at a time. How these lie in memory follows what is larger. Of wide
images with few channels, the channels lie side by side; where the kernels are larger, they stay as
they are, and the images come one after the other.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from keras_ccsam.backend.padding import same_padding
from keras_ccsam.typing import Tensor

_CACHED = 5 * 2**18  # bytes of images and kernels that a CPU takes at a time


def moved_convolution(
    x: Tensor,
    kernel: Tensor,
    rows: Tensor,
    slots: Tensor,
    still: bool,
    strides: Sequence[int],
    padding: str,
    dilation: Sequence[int],
) -> Tensor:
    """The convolution of each image with its own kernel; see `keras_ccsam.backend`."""
    around = [0, 0]
    if padding == "same":
        sizes = zip(x.shape[1:3], kernel.shape[:2], strides, dilation, strict=True)
        sides = [same_padding(*size) for size in sizes]
        if all(before == after for before, after in sides):
            around = [before for before, _ in sides]
        else:
            x = functional.pad(x, [0, 0, *sides[1], *sides[0]])
    options = (list(strides), around, list(dilation))
    result: Tensor = _Moved.apply(x, kernel, rows, slots, still, options)
    return result


class _Moved(torch.autograd.Function):
    """Of x (B, height, width, C), kernel (kh, kw, C, F), rows (R, kh, kw, C, F), slots (B,)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, rows: Tensor, slots: Tensor, still: bool, options: Any
    ) -> Tensor:
        ctx.save_for_backward(x, kernel, rows, slots)
        ctx.still, ctx.options = still, options
        if still:
            out = functional.conv2d(_channels_first(x), _turned(kernel), None, *options)
            return out.permute(0, 2, 3, 1)
        layout = _Layout(x, kernel)
        parts = []
        for part in layout.parts(len(x)):
            own = layout.kernels(rows, slots[part])
            images = layout.side_by_side(x[part])
            out = functional.conv2d(images, own, None, *options, part.stop - part.start)
            parts.append(layout.apart(out, part.stop - part.start))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, kernel, rows, slots = ctx.saved_tensors
        (out,) = gradients
        of_x, of_kernel, of_rows = ctx.needs_input_grad[:3]
        found_x = found_kernel = found_rows = None
        whole = (of_x and ctx.still, of_kernel, False)
        if any(whole):
            found_x, found_kernel, _ = _backward(
                _channels_first(out), _channels_first(x), _turned(kernel), ctx.options, 1, whole
            )
            found_x = None if found_x is None else found_x.permute(0, 2, 3, 1)
            found_kernel = None if found_kernel is None else found_kernel.permute(2, 3, 1, 0)
        of_x = of_x and not ctx.still
        if not (of_x or of_rows):
            return found_x, found_kernel, None, None, None, None
        layout = _Layout(x, kernel)
        parts = []
        total = layout.zeros(rows) if of_rows else None
        for part in layout.parts(len(x)):
            count = part.stop - part.start
            # What is not read needs its size alone.
            own = layout.kernels(rows, slots[part]) if of_x else layout.empty(kernel, count)
            images = x[part] if of_rows else x.new_empty(x[part].shape)
            one, found, _ = _backward(
                layout.side_by_side(out[part]),
                layout.side_by_side(images),
                own,
                ctx.options,
                count,
                (of_x, of_rows, False),
            )
            if of_x:
                parts.append(layout.apart(one, count))
            if total is not None:
                total.index_add_(0, slots[part], layout.of_images(found, count))
        if of_x:
            found_x = parts[0] if len(parts) == 1 else torch.cat(parts)
        found_rows = None if total is None else layout.as_rows(total)
        return found_x, found_kernel, found_rows, None, None, None


def _backward(
    out: Tensor, x: Tensor, kernel: Tensor, options: Any, groups: int, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor, None]:
    strides, around, dilation = options
    found: tuple[Tensor | None, Tensor, None] = torch.ops.aten.convolution_backward(
        out, x, kernel, None, strides, around, dilation, False, [0, 0], groups, list(wanted)
    )
    return found


def _channels_first(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2)


def _turned(kernel: Tensor) -> Tensor:
    """(F, C, kh, kw), each filter's channels side by side in memory."""
    return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


class _Layout:
    """How the images of a grouped convolution, and their kernels, lie in memory.

    Args:
        x: the images. kernel: one of their kernels.
    """

    def __init__(self, x: Tensor, kernel: Tensor) -> None:
        image, size = x[0].numel(), kernel.numel()
        self.beside = image >= size
        self.on_cpu = x.device.type == "cpu"
        self.bytes = x.element_size() * (image + size)
        # From (.., kh, kw, C, F) to the order in which kernels lie, and back.
        self.order = (0, 4, 1, 2, 3) if self.beside else (0, 4, 3, 1, 2)
        self.back = (0, 2, 3, 4, 1) if self.beside else (0, 3, 4, 2, 1)

    def parts(self, count: int) -> Iterator[slice]:
        """Equal parts of so many images."""
        most = max(1, _CACHED // self.bytes) if self.on_cpu else count
        size = -(-count // -(-count // most))
        for start in range(0, count, size):
            yield slice(start, min(start + size, count))

    def side_by_side(self, images: Tensor) -> Tensor:
        """(B, height, width, C) as one image (1, B x C, height, width)."""
        count, height, width, channels = images.shape
        if self.beside:
            wide = images.permute(1, 2, 0, 3).reshape(1, height, width, count * channels)
            return wide.permute(0, 3, 1, 2)
        return images.permute(0, 3, 1, 2).reshape(1, count * channels, height, width)

    def apart(self, wide: Tensor, count: int) -> Tensor:
        """And back."""
        height, width = wide.shape[2:]
        if self.beside:
            images = wide.permute(0, 2, 3, 1).reshape(height, width, count, -1)
            return images.permute(2, 0, 1, 3)
        return wide.reshape(count, -1, height, width).permute(0, 2, 3, 1)

    def kernels(self, rows: Tensor, slots: Tensor) -> Tensor:
        """(B x F, C, kh, kw), each image's own."""
        return self._grouped(rows.permute(self.order).index_select(0, slots))

    def empty(self, kernel: Tensor, count: int) -> Tensor:
        """As many as so many images have, of any values."""
        shape = kernel[None].permute(self.order).shape
        return self._grouped(kernel.new_empty((count, *shape[1:])))

    def _grouped(self, own: Tensor) -> Tensor:
        flat = own.reshape(-1, *own.shape[2:])
        return flat.permute(0, 3, 1, 2) if self.beside else flat

    def of_images(self, gradients: Tensor, count: int) -> Tensor:
        """Gradients (B x F, C, kh, kw) as `zeros` has them."""
        flat = gradients.permute(0, 2, 3, 1) if self.beside else gradients
        return flat.reshape(count, -1, *flat.shape[1:])

    def zeros(self, rows: Tensor) -> Tensor:
        """As many kernels as there are rows."""
        shape = rows.permute(self.order).shape
        return torch.zeros(shape, dtype=rows.dtype, device=rows.device)

    def as_rows(self, total: Tensor) -> Tensor:
        """In the order of axes that rows have."""
        return total.permute(self.back)
