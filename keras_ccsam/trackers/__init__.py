"""Trackers of experiments, told of a run while it trains: one file per tracker.

W&B and MLflow have Keras callbacks of their own. They are not used: W&B's imports TensorFlow on
every backend, and both name the metrics of the two stages alike, so that the second would go on
where the first one ended. All trackers get the run's own records, through their public interfaces.
"""

from keras_ccsam.trackers.known import check as check
from keras_ccsam.trackers.tracking import Tracking as Tracking
