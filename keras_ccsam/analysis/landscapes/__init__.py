"""The loss around a trained model: planes and lines of points, in numbers."""

from keras_ccsam.analysis.landscapes.cost import Standing as Standing
from keras_ccsam.analysis.landscapes.directions import Directions as Directions
from keras_ccsam.analysis.landscapes.directions import check_shared as check_shared
from keras_ccsam.analysis.landscapes.directions import draw_directions as draw_directions
from keras_ccsam.analysis.landscapes.filters import filter_axes as filter_axes
from keras_ccsam.analysis.landscapes.plan import LandscapePlan as LandscapePlan
from keras_ccsam.analysis.landscapes.plan import landscape as landscape
from keras_ccsam.analysis.landscapes.plan import plan_landscape as plan_landscape
from keras_ccsam.analysis.landscapes.result import Landscape as Landscape
from keras_ccsam.analysis.landscapes.trajectory import (
    trajectory_directions as trajectory_directions,
)
