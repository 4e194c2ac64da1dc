"""Several recipes over several seeds, in one table."""

from keras_ccsam.comparison.compare import compare as compare
from keras_ccsam.comparison.comparison import Comparison as Comparison
from keras_ccsam.comparison.plan import ComparisonPlan as ComparisonPlan
from keras_ccsam.comparison.plan import plan_comparison as plan_comparison
