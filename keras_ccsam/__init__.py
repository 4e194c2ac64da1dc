"""Class-conditional sharpness-aware minimization for long-tailed recognition in Keras 3.

Importing this package registers every layer, loss, metric and schedule for `keras.saving`.
"""

from keras_ccsam import analysis as analysis
from keras_ccsam import auto as auto
from keras_ccsam import callbacks as callbacks
from keras_ccsam import comparison as comparison
from keras_ccsam import data as data
from keras_ccsam import deployment as deployment
from keras_ccsam import heads as heads
from keras_ccsam import launching as launching
from keras_ccsam import layers as layers
from keras_ccsam import losses as losses
from keras_ccsam import m2m as m2m
from keras_ccsam import metrics as metrics
from keras_ccsam import models as models
from keras_ccsam import recipes as recipes
from keras_ccsam import reporting as reporting
from keras_ccsam import reproduction as reproduction
from keras_ccsam import runs as runs
from keras_ccsam import schedules as schedules
from keras_ccsam import second_stage as second_stage
from keras_ccsam import sharpness as sharpness
from keras_ccsam import stopping as stopping
from keras_ccsam import terms as terms
from keras_ccsam import training as training
from keras_ccsam.backend import join_processes as join_processes
from keras_ccsam.backend import make_deterministic as make_deterministic
from keras_ccsam.losses import balanced_class_weight as balanced_class_weight
from keras_ccsam.metrics.evaluation import evaluate as evaluate
from keras_ccsam.training import CCSAM as CCSAM
from keras_ccsam.training import SharpnessAwareModel as SharpnessAwareModel

__version__ = "0.1.0"
