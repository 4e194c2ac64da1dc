"""From images of any size to what a network was trained on, as arithmetic that every format has.

It is the view that training data is evaluated by (`data.images.view.Centre`): a centred box of the
image, resized as Pillow's `BILINEAR` does, which averages where it makes smaller. Along one axis of
n pixels, of a box from l with s pixels of it per pixel of the result,

    out_i = sum_j  w_ij in_j / sum_j w_ij
    w_ij  = max(0, 1 - |j + 1/2 - l - (i + 1/2) s| / max(s, 1))

One product with a matrix per axis, and lengths are counted by a sum. No operation asks for a shape,
and all are Keras' own, so any size stays possible in a Keras file, in ONNX, in a SavedModel, in
LiteRT and in a torch program.
"""

from keras import ops

from keras_ccsam.typing import Tensor


def centre_view(images: Tensor, size: tuple[int, int], resize: int | None = None) -> Tensor:
    """The centre of images, resized, in whole numbers from 0 to 255 as an image library gives them.

    Args:
        images: (B, any, any, C) in 0..255, a tensor or a symbolic one.
        size: (height, width) of the result.
        resize: pixels of the resized shorter side, of which the centre is cut out; None takes the
            largest centred box of the result's proportions.

    Returns:
        (B, height, width, C), float32.
    """
    pixels = ops.cast(images, "float32")
    rows, columns = _centres(pixels[0, :, 0, 0]), _centres(pixels[0, 0, :, 0])
    high, wide = rows[-1] + 0.5, columns[-1] + 0.5
    scale = ops.maximum(size[0] / high, size[1] / wide)
    if resize is not None:
        scale = ops.maximum(scale, resize / ops.minimum(high, wide))
    down = _Axis(rows, high, scale, size[0])
    across = _Axis(columns, wide, scale, size[1])
    # A box of whole pixels is cut out before it is resized: what lies around it has no part in it.
    cut = down.whole * across.whole
    view = ops.einsum("ih,bhwc->biwc", down.weights(cut), pixels)
    view = ops.einsum("jw,biwc->bijc", across.weights(cut), view)
    return ops.clip(ops.round(view), 0.0, 255.0)


def _centres(line: Tensor) -> Tensor:
    """(n,) the middle of each pixel: 0.5, 1.5, ..."""
    return ops.cumsum(ops.ones_like(line)) - 0.5


class _Axis:
    """The box along one axis, from `start` to `end`; `whole` is 1 where these are whole numbers."""

    def __init__(self, centres: Tensor, length: Tensor, scale: Tensor, size: int) -> None:
        self.centres, self.size = centres, size
        self.box = ops.minimum(size / scale, length)
        self.start = (length - self.box) / 2.0
        self.end = self.start + self.box
        self.whole = _is_whole(self.start) * _is_whole(self.end)

    def weights(self, cut: Tensor) -> Tensor:
        """(size, n) the share of each pixel in each of the result; with `cut`, of the box alone."""
        step = self.box / self.size
        middles = [[i + 0.5] for i in range(self.size)]
        wanted = step * ops.convert_to_tensor(middles, dtype="float32") + self.start
        distance = ops.abs(ops.expand_dims(self.centres, 0) - wanted) / ops.maximum(step, 1.0)
        before, behind = self.centres < self.start - 0.25, self.centres > self.end + 0.25
        outside = ops.cast(before, "float32") + ops.cast(behind, "float32")
        weights = ops.maximum(1.0 - distance, 0.0) * (1.0 - cut * outside)
        return weights / ops.sum(weights, axis=1, keepdims=True)


def _is_whole(number: Tensor) -> Tensor:
    """1 or 0, up to float32's rounding."""
    return ops.cast(ops.abs(number - ops.round(number)) < 1e-3, "float32")
