"""CC-SAM: a radius for each class, and the ways to step within it."""

from keras_ccsam.sharpness.class_conditional.method import ClassConditional as ClassConditional
from keras_ccsam.sharpness.class_conditional.radius import (
    characteristic_radius as characteristic_radius,
)
from keras_ccsam.sharpness.class_conditional.radius import step_length as step_length
