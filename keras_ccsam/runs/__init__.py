"""From recipes to run directories and tables."""

from keras_ccsam.runs.compare import compare as compare
from keras_ccsam.runs.comparison import Comparison as Comparison
from keras_ccsam.runs.experiment import RunResult as RunResult
from keras_ccsam.runs.experiment import evaluate_run as evaluate_run
from keras_ccsam.runs.experiment import run as run
from keras_ccsam.runs.plan import plan as plan
from keras_ccsam.runs.reproduce import reproduce as reproduce
from keras_ccsam.runs.reproduction import Reproduction as Reproduction
from keras_ccsam.runs.reproduction_plan import plan_reproduction as plan_reproduction
from keras_ccsam.runs.run_directory import RunDirectory as RunDirectory
