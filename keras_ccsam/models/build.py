"""A backbone from a name or from any `keras.Model`."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam.declare import parts
from keras_ccsam.hints import closest, plain
from keras_ccsam.models.accelerate import accelerate
from keras_ccsam.models.normalization import affine_layer
from keras_ccsam.models.weights import check_weights_file, load_weights
from keras_ccsam.typing import Tensor

# The pixel scaling each family of keras.applications was trained with, where the family's own
# network does not begin with it. The longest matching beginning of the name decides.
SCALINGS = {
    "convnext": None,
    "densenet": "torch",
    "efficientnet": None,
    "inception": "tf",
    "mobilenet": "tf",
    "mobilenetv3": None,
    "nasnet": "tf",
    "resnet": "caffe",
    "resnet50v2": "tf",
    "resnet101v2": "tf",
    "resnet152v2": "tf",
    "vgg": "caffe",
    "xception": "tf",
}


def available() -> dict[str, tuple[str, ...]]:
    """The names `build` knows: `{"keras_ccsam": (...), "keras.applications": (...)}`."""
    return {
        "keras_ccsam": tuple(parts("backbone")),
        "keras.applications": tuple(sorted(_applications())),
    }


def spelled(name: str) -> str:
    """A known name as `available` has it, whatever its case, hyphens and underscores.

    Raises:
        ValueError: for an unknown name, with the closest one.
    """
    known = {plain(key): key for names in reversed(available().values()) for key in names}
    if plain(name) in known:
        return known[plain(name)]
    near = closest(plain(name), known, cutoff=0.0)
    raise ValueError(
        f"There is no network of that name; the closest is {known[near or 'smallcnn']!r}. Known "
        f"are {', '.join(parts('backbone'))} and the functions of keras.applications. "
        f"Received: name_or_model={name!r}"
    )


def build(
    name_or_model: str | keras.Model,
    input_shape: Sequence[int | None] | None = None,
    **options: Any,
) -> keras.Model:
    """A model from images (B, height, width, channels) in 0..255 to features (B, D).

    Args:
        name_or_model: One of our names (`"resnet32"`, `"small_cnn"`, ...), a function of
            `keras.applications` (`"EfficientNetB0"`, ...), both whatever their case, hyphens and
            underscores; or a `keras.Model`, which brings its own input scaling. A model whose
            output is a map (B, h, w, D) gets global average pooling.
        input_shape: Height, width and channels. None takes the network's own default.
        **options: Passed on to a named network. For ours: `normalization`, `name`, ... For
            `keras.applications`: `weights` (None by default, i.e. random; `"imagenet"` downloads;
            or a local file, see `models.load_weights`) and the function's own arguments. They are
            built without their top and with average pooling, and scale pixels as their
            pre-trained weights want it: families that do not scale inside the network (ResNet,
            VGG: BGR minus the ImageNet mean; DenseNet: ImageNet mean and standard deviation;
            Inception, Xception, MobileNet 1 and 2, NASNet, ResNetV2: -1..1) get it as the first
            layer. Grey images get the average over the channels.

    Returns:
        A `keras.Model` with output shape (None, D).

    Raises:
        ValueError: Unknown name, options for a model that is already built, an input shape that
            does not fit the model, or an output that is not one tensor of features.
    """
    shape = None if input_shape is None else tuple(input_shape)
    if shape is not None and (len(shape) != 3 or shape[2] is None):
        raise ValueError(
            f"`input_shape` must be (height, width, channels). Received: input_shape={shape}"
        )
    if isinstance(name_or_model, str):
        return _from_name(name_or_model, shape, options)
    if not isinstance(name_or_model, keras.Model):
        raise ValueError(
            "`name_or_model` must be the name of a network or a keras.Model. "
            f"Received: name_or_model={name_or_model!r}"
        )
    if options:
        raise ValueError(
            "A keras.Model is already built and takes no options. "
            f"Received: options={sorted(options)}"
        )
    return _from_model(name_or_model, shape)


def _from_name(
    name: str, shape: tuple[int | None, ...] | None, options: dict[str, Any]
) -> keras.Model:
    name = spelled(name)
    ours = parts("backbone").get(name)
    function = _applications()[name] if ours is None else ours.make
    unknown = set(options) - set(inspect.signature(function).parameters)
    if unknown:
        raise ValueError(
            f"{name!r} takes the options {', '.join(inspect.signature(function).parameters)}. "
            f"Received: options={sorted(unknown)}"
        )
    if shape is not None:
        options = {**options, "input_shape": shape}
    if ours is not None:
        built: keras.Model = function(**options)
        return built
    return _application(function, plain(name), options)


def _application(
    function: Callable[..., keras.Model], plain_name: str, options: dict[str, Any]
) -> keras.Model:
    """A network of `keras.applications` behind its input scaling."""
    weights = options.get("weights")
    file = None if weights in (None, "imagenet") else check_weights_file(str(weights))
    if file is not None:
        options = {**options, "weights": None}
    network = _made(function, {"include_top": False, "pooling": "avg", "weights": None, **options})
    if file is not None:
        load_weights(network, file)
    network = accelerate(network)
    family = max((key for key in SCALINGS if plain_name.startswith(key)), key=len, default=None)
    if family is None:
        raise ValueError(
            "How this network scales its input is not known here. Build it with its "
            "preprocessing as a keras.Model and pass that. "
            f"Received: name_or_model={function.__name__!r}"
        )
    scaling = SCALINGS[family]
    if scaling is None:
        return _from_model(network, None)
    images = keras.Input(network.input_shape[1:], name="images")
    features = network(_scaled(images, scaling))
    return _from_model(keras.Model(images, features, name=f"{network.name}_features"), None)


def _made(function: Callable[..., keras.Model], options: dict[str, Any]) -> keras.Model:
    """The network; weights that cannot be had are an error in one line."""
    try:
        return function(**options)
    except ValueError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:240]
        raise ValueError(
            f"the network {function.__name__} cannot be made with its weights ({said}); without "
            f"a network give a file. Received: weights={options['weights']!r}"
        ) from error


def _scaled(images: Tensor, scaling: str) -> Tensor:
    """Pixels 0..255 to the input of a pre-trained network, as its `preprocess_input` does."""
    channels = images.shape[-1]

    def values(*rgb: float) -> np.ndarray:
        return np.array(rgb if channels == 3 else [np.mean(rgb)])

    if scaling == "tf":
        return affine_layer(1.0 / 127.5, -1.0, channels)(images)
    if scaling == "torch":
        mean, std = values(0.485, 0.456, 0.406), values(0.229, 0.224, 0.225)
        return affine_layer(1.0 / (255.0 * std), -mean / std, channels)(images)
    centred = affine_layer(1.0, -values(123.68, 116.779, 103.939), channels)(images)
    # Keras' ResNet and VGG weights come from Caffe, which reads images as BGR.
    return keras.ops.flip(centred, axis=-1) if channels == 3 else centred


def _from_model(model: keras.Model, shape: tuple[int | None, ...] | None) -> keras.Model:
    """Checks a model's input and output, and pools a feature map."""
    inputs = None
    if getattr(model, "inputs", None):  # functional, or a Sequential that knows its input
        if len(model.inputs) != 1:
            raise ValueError(
                "A backbone takes one input, the images. "
                f"Received: a model {model.name!r} with {len(model.inputs)} inputs"
            )
        own = tuple(model.inputs[0].shape[1:])
        if shape is not None and not _fits(own, shape):
            raise ValueError(
                f"The model {model.name!r} takes images of shape {own}. "
                f"Received: input_shape={shape}"
            )
        inputs, outputs = model.inputs[0], model.outputs
    else:
        if shape is None:
            raise ValueError(
                f"The model {model.name!r} does not know its input yet: pass (height, width, "
                f"channels). Received: input_shape={shape}"
            )
        inputs = keras.Input(shape, name="images")
        outputs = keras.tree.flatten(model(inputs))
        model = keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs, name=model.name)
    if len(outputs) != 1 or len(outputs[0].shape) not in (2, 4) or outputs[0].shape[-1] is None:
        raise ValueError(
            "A backbone has one output, features (B, D) or a map (B, height, width, D) to pool. "
            f"Received: a model {model.name!r} with outputs {[tuple(o.shape) for o in outputs]}"
        )
    if len(outputs[0].shape) == 2:
        return model
    pooled = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(outputs[0])
    return keras.Model(inputs, pooled, name=model.name)


def _fits(own: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(own) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(own, wanted, strict=True)
    )


def _applications() -> dict[str, Callable[..., keras.Model]]:
    """The network functions of keras.applications: the names that begin with a capital."""
    module = keras.applications
    return {
        name: getattr(module, name)
        for name in dir(module)
        if name[0].isupper() and inspect.isfunction(getattr(module, name))
    }
