"""Losses of the long-tail literature, one per file, each on logits or cosines."""

from keras_ccsam.losses.balanced_class_weight import (
    balanced_class_weight as balanced_class_weight,
)
from keras_ccsam.losses.class_balanced import ClassBalanced as ClassBalanced
from keras_ccsam.losses.class_weights import CLASS_WEIGHTS as CLASS_WEIGHTS
from keras_ccsam.losses.class_weights import class_weights as class_weights
from keras_ccsam.losses.cross_entropy import cross_entropy_loss as cross_entropy_loss
from keras_ccsam.losses.effective_number import (
    effective_number_weights as effective_number_weights,
)
from keras_ccsam.losses.focal import Focal as Focal
from keras_ccsam.losses.gcl import GCL as GCL
from keras_ccsam.losses.label_aware_smoothing import LabelAwareSmoothing as LabelAwareSmoothing
from keras_ccsam.losses.label_smoothing import LabelSmoothing as LabelSmoothing
from keras_ccsam.losses.ldam import LDAM as LDAM
from keras_ccsam.losses.logit_adjustment import BalancedSoftmax as BalancedSoftmax
from keras_ccsam.losses.logit_adjustment import LogitAdjustment as LogitAdjustment
from keras_ccsam.losses.logit_adjustment import adjust_logits as adjust_logits
from keras_ccsam.losses.vector_scaling import VectorScaling as VectorScaling
