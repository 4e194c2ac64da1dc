"""Looking at a trained model."""

from keras_ccsam.analysis import plots as plots
from keras_ccsam.analysis.sharpness import sharpness as sharpness
