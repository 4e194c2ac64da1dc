"""Accuracy by class frequency, calibration, and the report of an evaluation."""

from keras_ccsam.metrics.calibration import ExpectedCalibrationError as ExpectedCalibrationError
from keras_ccsam.metrics.groups import GroupAccuracy as GroupAccuracy
from keras_ccsam.metrics.groups import Thresholds as Thresholds
from keras_ccsam.metrics.groups import group_classes as group_classes
from keras_ccsam.metrics.groups import group_metrics as group_metrics
from keras_ccsam.metrics.report import Report as Report
