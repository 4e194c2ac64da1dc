"""One call for somebody in a hurry: from a data set to a classifier."""

from keras_ccsam.auto.auto import AutoResult as AutoResult
from keras_ccsam.auto.auto import auto as auto
from keras_ccsam.auto.plan import AutoPlan as AutoPlan
from keras_ccsam.auto.plan import plan_auto as plan_auto
