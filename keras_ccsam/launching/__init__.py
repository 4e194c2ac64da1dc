"""Many runs, side by side: on this machine, on a Ray cluster, or as jobs of SLURM."""

from keras_ccsam.launching.job import Job as Job
from keras_ccsam.launching.job import Outcome as Outcome
from keras_ccsam.launching.known import LAUNCHERS as LAUNCHERS
from keras_ccsam.launching.launcher import Launcher as Launcher
from keras_ccsam.launching.launcher import Task as Task
from keras_ccsam.launching.local import Local as Local
from keras_ccsam.launching.named import named as named
from keras_ccsam.launching.ray import Ray as Ray
from keras_ccsam.launching.slurm import Slurm as Slurm
