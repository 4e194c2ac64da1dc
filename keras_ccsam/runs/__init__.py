"""From a recipe to a run directory."""

from keras_ccsam.runs.experiment import evaluate_run as evaluate_run
from keras_ccsam.runs.experiment import resume as resume
from keras_ccsam.runs.experiment import run as run
from keras_ccsam.runs.landscapes import PlannedLandscapes as PlannedLandscapes
from keras_ccsam.runs.landscapes import RunLandscapes as RunLandscapes
from keras_ccsam.runs.plan import RunPlan as RunPlan
from keras_ccsam.runs.plan import plan as plan
from keras_ccsam.runs.run_directory import RunDirectory as RunDirectory
from keras_ccsam.runs.run_result import RunResult as RunResult
from keras_ccsam.runs.trained_run import TrainedRun as TrainedRun
from keras_ccsam.runs.trained_run import open_run as open_run
