"""Backbones: models from images in 0..255 to features (B, D), without a classifier on top."""

from keras_ccsam.models.accelerate import accelerate as accelerate
from keras_ccsam.models.build import available as available
from keras_ccsam.models.build import build as build
from keras_ccsam.models.build import spelled as spelled
from keras_ccsam.models.hub import HubBackbone as HubBackbone
from keras_ccsam.models.resnet_cifar import ResNet8 as ResNet8
from keras_ccsam.models.resnet_cifar import ResNet14 as ResNet14
from keras_ccsam.models.resnet_cifar import ResNet20 as ResNet20
from keras_ccsam.models.resnet_cifar import ResNet32 as ResNet32
from keras_ccsam.models.resnet_cifar import ResNet44 as ResNet44
from keras_ccsam.models.resnet_cifar import ResNet56 as ResNet56
from keras_ccsam.models.resnet_cifar import resnet_cifar as resnet_cifar
from keras_ccsam.models.resnet_imagenet import FittingNetwork as FittingNetwork
from keras_ccsam.models.resnet_imagenet import ResNet18 as ResNet18
from keras_ccsam.models.resnet_imagenet import ResNeXt50 as ResNeXt50
from keras_ccsam.models.small_cnn import SmallCNN as SmallCNN
from keras_ccsam.models.spectral import plain_backbone as plain_backbone
from keras_ccsam.models.spectral import spectrally_normalize as spectrally_normalize
from keras_ccsam.models.tuning import freeze as freeze
from keras_ccsam.models.tuning import train_all as train_all
from keras_ccsam.models.tuning import train_last_blocks as train_last_blocks
from keras_ccsam.models.tuning import train_low_rank as train_low_rank
from keras_ccsam.models.tuning import trainable_parameters as trainable_parameters
from keras_ccsam.models.weights import check_weights as check_weights
from keras_ccsam.models.weights import check_weights_file as check_weights_file
from keras_ccsam.models.weights import load_weights as load_weights
