"""Callbacks for `fit`."""

from keras_ccsam.callbacks.bound_tracker import BoundTracker as BoundTracker
from keras_ccsam.callbacks.classifier_retraining import (
    ClassifierRetraining as ClassifierRetraining,
)
from keras_ccsam.callbacks.curriculum import Curriculum as Curriculum
from keras_ccsam.callbacks.decoupling import NearestClassMean as NearestClassMean
from keras_ccsam.callbacks.decoupling import TauNormalization as TauNormalization
from keras_ccsam.callbacks.deferred_reweighting import (
    DeferredReweighting as DeferredReweighting,
)
from keras_ccsam.callbacks.head_initialization import (
    HeadInitialization as HeadInitialization,
)
from keras_ccsam.callbacks.max_norm import MaxNorm as MaxNorm
from keras_ccsam.callbacks.metrics_log import MetricsLog as MetricsLog
from keras_ccsam.callbacks.on_nonfinite import OnNonfinite as OnNonfinite
from keras_ccsam.callbacks.radius_log import RadiusLog as RadiusLog
from keras_ccsam.callbacks.run_state import RunState as RunState
from keras_ccsam.callbacks.weight_averaging import WeightAveraging as WeightAveraging
from keras_ccsam.callbacks.weight_trajectory import WeightTrajectory as WeightTrajectory
from keras_ccsam.m2m.start_translation import StartTranslation as StartTranslation
from keras_ccsam.schedules.start import first_epoch as first_epoch
