"""Names for the types that Keras leaves untyped."""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of whichever backend is configured, or anything `keras.ops` converts to one."""
