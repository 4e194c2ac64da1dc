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
    view = ops.einsum("ih,bhwc->biwc", _weights(rows, high, scale, size[0]), pixels)
    view = ops.einsum("jw,biwc->bijc", _weights(columns, wide, scale, size[1]), view)
    return ops.clip(ops.round(view), 0.0, 255.0)


def _centres(line: Tensor) -> Tensor:
    """(n,) the middle of each pixel: 0.5, 1.5, ..."""
    return ops.cumsum(ops.ones_like(line)) - 0.5


def _weights(centres: Tensor, length: Tensor, scale: Tensor, size: int) -> Tensor:
    """(size, n) the share of each pixel in each of the result."""
    box = ops.minimum(size / scale, length)
    step = box / size
    middles = [[i + 0.5] for i in range(size)]
    wanted = step * ops.convert_to_tensor(middles, dtype="float32") + (length - box) / 2.0
    distance = ops.abs(ops.expand_dims(centres, 0) - wanted) / ops.maximum(step, 1.0)
    weights = ops.maximum(1.0 - distance, 0.0)
    return weights / ops.sum(weights, axis=1, keepdims=True)
