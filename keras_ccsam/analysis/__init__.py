"""Looking at a trained model."""

from keras_ccsam.analysis import plots as plots
