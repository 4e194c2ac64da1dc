"""Learning-rate schedules of the long-tail recipes."""

from keras_ccsam.schedules.constant_tail import ConstantTail as ConstantTail
from keras_ccsam.schedules.warmup import WarmupCosine as WarmupCosine
from keras_ccsam.schedules.warmup import WarmupSteps as WarmupSteps
