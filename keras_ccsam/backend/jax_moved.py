"""Convolutions with a kernel for each image, on JAX.

XLA for CPUs takes about a thousand times as long for them as for a convolution of a batch, and
hardly longer for one image after the other. It is slow there with the gradients of single images:
those of their pixels are a convolution with the turned kernel here, those of their kernels products
of the pixels below the kernel. On other devices XLA vectorises it all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from keras_ccsam.backend.jax_kernels import convolution
from keras_ccsam.backend.moved_kernels import spread_gradient, turned, unfolded
from keras_ccsam.backend.padding import same_padding
from keras_ccsam.typing import Tensor


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
    window, same = kernel.shape[:2], padding == "same"
    sizes = list(zip(x.shape[1:3], window, strides, dilation, strict=True))
    sides = [same_padding(*size) if same else (0, 0) for size in sizes]

    def whole(x: Tensor, kernel: Tensor) -> Tensor:
        kernel = kernel.astype(x.dtype)
        return convolution(x, kernel, strides, padding, "channels_last", dilation)

    def one(image: Tensor, kernel: Tensor) -> Tensor:
        return whole(image[None], kernel)[0]

    def back(out: Tensor, kernel: Tensor) -> Tensor:
        own = turned(kernel[None])[0]
        return convolution(out[None], own, (1, 1), "valid", "channels_last", dilation)[0]

    def of_rows(x: Tensor, out: Tensor) -> Tensor:
        total = jnp.zeros_like(rows)
        if jax.default_backend() != "cpu":
            single = jax.vmap(lambda x, out: jax.vjp(lambda k: one(x, k), rows[0])[1](out)[0])
            return total.at[slots].add(single(x, out))

        def add(total: Tensor, each: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, None]:
            image, out, slot = each
            below = unfolded(image[None], window, strides, dilation)[0]
            # Of both orders of the product this is the faster one, and turning it costs little.
            found = jax.lax.optimization_barrier(jnp.einsum("hwf,hwk->fk", out, below))
            found = jnp.reshape(found.T, kernel.shape) + total[slot]
            return jax.lax.dynamic_update_slice_in_dim(total, found[None], slot, 0), None

        images = jnp.pad(x, ((0, 0), *sides, (0, 0)))
        return jax.lax.scan(add, total, (images, out, slots))[0]

    def each(
        fn: Callable[[Tensor, Tensor], Tensor],
        kernel: Tensor,
        rows: Tensor,
        lengths: Tensor,
        images: Tensor,
    ) -> Tensor:
        """`fn` of each image and its own kernel."""

        def of(image: Tensor, slot: Tensor) -> Tensor:
            return fn(image, (kernel + lengths[slot] * rows[slot]).astype(image.dtype))

        if jax.default_backend() != "cpu":
            return jax.vmap(of)(images, slots)
        found: Tensor = jax.lax.map(lambda pair: of(*pair), (images, slots))
        return found

    @jax.custom_gradient
    def convolve(x: Tensor, kernel: Tensor, rows: Tensor) -> Any:
        def gradient(out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            # What nobody asks for is no part of the compiled program.
            of_x, of_kernel = jax.vjp(whole, x, kernel)[1](out)
            if lengths is None:
                return of_x, of_kernel, of_rows(x, out)
            of_x = each(back, kernel, rows, lengths, spread_gradient(out, sizes, sides))
            return of_x, of_kernel, jnp.zeros_like(rows)

        if lengths is None:
            return whole(x, kernel) if known is None else known, gradient
        return each(one, kernel, rows, lengths, x), gradient

    result: Tensor = convolve(x, kernel, rows)
    return result
