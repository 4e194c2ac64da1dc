"""Augmentations of the pixels themselves: learnt and random policies, jitter, erasing.

`augment.py` has those that only move or blank pixels. The order in which published pipelines apply
them: crop and flip; one policy (AutoAugment, RandAugment, TrivialAugment, CUDA's curriculum) or
colour jitter; Cutout or random erasing last. Mixup and CutMix come after them, on the whole batch.
"""

from keras_ccsam.data.batches.augmentations.auto_augment import AutoAugment as AutoAugment
from keras_ccsam.data.batches.augmentations.color_jitter import ColorJitter as ColorJitter
from keras_ccsam.data.batches.augmentations.curriculum import Curriculum as Curriculum
from keras_ccsam.data.batches.augmentations.rand_augment import RandAugment as RandAugment
from keras_ccsam.data.batches.augmentations.random_erasing import RandomErasing as RandomErasing
from keras_ccsam.data.batches.augmentations.simclr import SimCLR as SimCLR
from keras_ccsam.data.batches.augmentations.trivial_augment import TrivialAugment as TrivialAugment
