"""Layers of our own inside a backbone, and networks made with or freed of them."""

from keras_ccsam.layers.spectral_normalization import (
    SpectralNormalization as SpectralNormalization,
)
