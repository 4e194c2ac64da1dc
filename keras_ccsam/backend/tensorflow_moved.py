"""`moved_convolution` on TensorFlow."""

from keras_ccsam.backend.kernels import convolution
from keras_ccsam.backend.moved_kernels import moved_by
from keras_ccsam.backend.tensorflow import value_and_grad

moved_convolution = moved_by(value_and_grad, convolution)
