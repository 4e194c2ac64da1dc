"""Several recipes over several seeds, in one table."""

from keras_ccsam.comparison.check_models import check_models as check_models
from keras_ccsam.comparison.compare import compare as compare
from keras_ccsam.comparison.comparison import Comparison as Comparison
from keras_ccsam.comparison.plan import ComparisonPlan as ComparisonPlan
from keras_ccsam.comparison.plan import plan_comparison as plan_comparison
from keras_ccsam.comparison.sweep import Sweep as Sweep
from keras_ccsam.comparison.sweep import sweep as sweep
from keras_ccsam.comparison.sweep_plan import SweepPlan as SweepPlan
from keras_ccsam.comparison.sweep_plan import plan_sweep as plan_sweep
