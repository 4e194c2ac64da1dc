"""What may follow representation learning: a classifier trained again, or set untrained."""

from keras_ccsam.second_stage.features import extract_features as extract_features
from keras_ccsam.second_stage.nearest_class_mean import nearest_class_mean as nearest_class_mean
from keras_ccsam.second_stage.posthoc_logit_adjustment import adjust_bias as adjust_bias
from keras_ccsam.second_stage.retraining import Retraining as Retraining
from keras_ccsam.second_stage.retraining_model import RetrainingModel as RetrainingModel
from keras_ccsam.second_stage.tau_normalization import choose_tau as choose_tau
from keras_ccsam.second_stage.tau_normalization import tau_normalize as tau_normalize
