"""Layers of our own inside a backbone, and networks made with or freed of them."""

from keras_ccsam.layers.attention import MultiHeadAttention as MultiHeadAttention
from keras_ccsam.layers.batch_normalization import BatchNormalization as BatchNormalization
from keras_ccsam.layers.convolution import AveragePooling2D as AveragePooling2D
from keras_ccsam.layers.convolution import Conv2D as Conv2D
from keras_ccsam.layers.convolution import DepthwiseConv2D as DepthwiseConv2D
from keras_ccsam.layers.convolution import MaxPooling2D as MaxPooling2D
from keras_ccsam.layers.convolution import SeparableConv2D as SeparableConv2D
from keras_ccsam.layers.dense import Dense as Dense
from keras_ccsam.layers.layer_normalization import LayerNormalization as LayerNormalization
from keras_ccsam.layers.spectral_normalization import (
    SpectralNormalization as SpectralNormalization,
)
