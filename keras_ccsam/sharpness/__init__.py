"""How the gradient of a step is formed: one method per file."""

from keras_ccsam.sharpness.adversarial_features import AdversarialFeatures as AdversarialFeatures
from keras_ccsam.sharpness.adversarial_features import (
    adversarial_class_weights as adversarial_class_weights,
)
from keras_ccsam.sharpness.ascent import worst_point as worst_point
from keras_ccsam.sharpness.class_conditional.method import ClassConditional as ClassConditional
from keras_ccsam.sharpness.class_conditional.radius import (
    characteristic_radius as characteristic_radius,
)
from keras_ccsam.sharpness.class_conditional.radius import step_length as step_length
from keras_ccsam.sharpness.erm import ERM as ERM
from keras_ccsam.sharpness.focal_sam import FocalSAM as FocalSAM
from keras_ccsam.sharpness.friendly_sam import FriendlySAM as FriendlySAM
from keras_ccsam.sharpness.gaussian import GaussianPerturbation as GaussianPerturbation
from keras_ccsam.sharpness.gradient_norm import GradientNorm as GradientNorm
from keras_ccsam.sharpness.imbsam import ImbSAM as ImbSAM
from keras_ccsam.sharpness.method import Learner as Learner
from keras_ccsam.sharpness.method import Options as Options
from keras_ccsam.sharpness.method import SharpnessMethod as SharpnessMethod
from keras_ccsam.sharpness.method import ascend as ascend
from keras_ccsam.sharpness.method import constants as constants
from keras_ccsam.sharpness.method import global_norm as global_norm
from keras_ccsam.sharpness.method import hyper_parameter as hyper_parameter
from keras_ccsam.sharpness.objective import Coupling as Coupling
from keras_ccsam.sharpness.objective import Evaluation as Evaluation
from keras_ccsam.sharpness.objective import Objective as Objective
from keras_ccsam.sharpness.objective import Outputs as Outputs
from keras_ccsam.sharpness.objective import Samples as Samples
from keras_ccsam.sharpness.objective import Tap as Tap
from keras_ccsam.sharpness.sam import ASAM as ASAM
from keras_ccsam.sharpness.sam import SAM as SAM
