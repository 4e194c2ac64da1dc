"""Looking at a trained model."""

from keras_ccsam.analysis import plots as plots
from keras_ccsam.analysis.landscapes import Landscape as Landscape
from keras_ccsam.analysis.landscapes import landscape as landscape
from keras_ccsam.analysis.landscapes import plan_landscape as plan_landscape
