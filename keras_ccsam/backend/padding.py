"""Zeros around an image, where a kernel of our own has to put them."""

import math


def span(taps: int, dilation: int) -> int:
    """The pixels from one end of a kernel to the other."""
    return (taps - 1) * dilation + 1


def same_padding(size: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after for `padding="same"`; the odd one is behind, as TensorFlow has it."""
    total = max((math.ceil(size / stride) - 1) * stride + span(taps, dilation) - size, 0)
    return total // 2, total - total // 2
