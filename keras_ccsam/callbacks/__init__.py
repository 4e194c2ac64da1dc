"""Callbacks for `fit`."""

from keras_ccsam.callbacks.classifier_retraining import (
    ClassifierRetraining as ClassifierRetraining,
)
