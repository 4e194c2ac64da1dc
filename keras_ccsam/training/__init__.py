"""Training: the model, its step, and the second stage."""

from keras_ccsam.training.ccsam import CCSAM as CCSAM
from keras_ccsam.training.features import extract_features as extract_features
from keras_ccsam.training.model import SharpnessAwareModel as SharpnessAwareModel
from keras_ccsam.training.nearest_class_mean import nearest_class_mean as nearest_class_mean
from keras_ccsam.training.posthoc_logit_adjustment import adjust_bias as adjust_bias
from keras_ccsam.training.retraining import retrain_classifier as retrain_classifier
from keras_ccsam.training.retraining_model import RetrainingModel as RetrainingModel
from keras_ccsam.training.tau_normalization import choose_tau as choose_tau
from keras_ccsam.training.tau_normalization import tau_normalize as tau_normalize
from keras_ccsam.training.translation import MajorToMinor as MajorToMinor
