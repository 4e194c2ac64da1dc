"""Training: the model, its step, and the second stage."""

from keras_ccsam.training.ccsam import CCSAM as CCSAM
from keras_ccsam.training.model import SharpnessAwareModel as SharpnessAwareModel
from keras_ccsam.training.retraining import RetrainingModel as RetrainingModel
from keras_ccsam.training.retraining import extract_features as extract_features
from keras_ccsam.training.retraining import retrain_classifier as retrain_classifier
from keras_ccsam.training.translation import MajorToMinor as MajorToMinor
