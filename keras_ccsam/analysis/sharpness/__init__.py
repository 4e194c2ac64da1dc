"""How sharp a trained classifier's loss is: one-step gaps, and the Hessian's spectrum."""

from keras_ccsam.analysis.sharpness.measure import sharpness as sharpness
from keras_ccsam.analysis.sharpness.result import Sharpness as Sharpness
from keras_ccsam.analysis.sharpness.result import sharpness_table as sharpness_table
