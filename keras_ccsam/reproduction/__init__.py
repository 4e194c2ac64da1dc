"""The tables and figures of the paper's appendix, with our numbers beside theirs."""

from keras_ccsam.reproduction.plan import plan_reproduction as plan_reproduction
from keras_ccsam.reproduction.reproduce import check_groups as check_groups
from keras_ccsam.reproduction.reproduce import reproduce as reproduce
from keras_ccsam.reproduction.reproduction import Reproduction as Reproduction
