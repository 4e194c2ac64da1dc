"""The training step: the model, the pure objective of a batch, and what a step is made of."""

from keras_ccsam.training.ccsam import CCSAM as CCSAM
from keras_ccsam.training.class_weighting import ClassWeighting as ClassWeighting
from keras_ccsam.training.model import SharpnessAwareModel as SharpnessAwareModel
from keras_ccsam.training.rate_factors import RateFactors as RateFactors
from keras_ccsam.training.step_parts import LearningRateFactor as LearningRateFactor
from keras_ccsam.training.step_parts import Projection as Projection
from keras_ccsam.training.step_parts import StepPart as StepPart
from keras_ccsam.training.step_parts import WeightDecay as WeightDecay
from keras_ccsam.training.traffic import Traffic as Traffic
from keras_ccsam.training.traffic import step_traffic as step_traffic
