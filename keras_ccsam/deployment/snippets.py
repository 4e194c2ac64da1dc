"""Five lines that feed an exported model, for people who have nothing of ours installed."""

_RUN = {
    "keras": (
        "import keras",
        "model = keras.models.load_model('{file}', compile=False)",
        "outputs = model.predict(images)",
    ),
    "onnx": (
        "import onnxruntime",
        "session = onnxruntime.InferenceSession('{file}')",
        "outputs = session.run(None, {{'images': images}})[0]",
    ),
    "saved_model": (
        "import tensorflow as tf",
        "model = tf.saved_model.load('{file}')",
        "outputs = model.serve(images).numpy()",
    ),
    "torch": (
        "import torch",
        "model = torch.export.load('{file}').module()",
        "outputs = model(torch.from_numpy(images)).detach().numpy()",
    ),
    "litert": (
        "import tensorflow as tf  # or ai_edge_litert.interpreter.Interpreter",
        "model = tf.lite.Interpreter('{file}')",
        "model.resize_tensor_input(0, images.shape); model.allocate_tensors()",
        "model.set_tensor(0, images); model.invoke()",
        "outputs = model.get_tensor(model.get_output_details()[0]['index'])",
    ),
}


def snippet(format_name: str, file: str, shape: tuple[int | None, ...], dtype: str) -> str:
    """Lines of Python from an image file to the model's outputs.

    Args:
        format_name: of `formats.FORMATS`.
        file: the exported file's name.
        shape: (B, H, W, C) of the input; None where any length does.
        dtype: of the input.
    """
    framework, *use = (line.format(file=file) for line in _RUN[format_name])
    mode = "L" if shape[-1] == 1 else "RGB"
    opened = f"Image.open('image.png').convert('{mode}')"
    if shape[1] is not None:
        opened += f".resize(({shape[2]}, {shape[1]}))"
    # (H, W) of a grey image to (1, H, W, 1), (H, W, 3) to (1, H, W, 3)
    axes = "[None, :, :, None]" if mode == "L" else "[None]"
    return "\n".join(
        (
            framework,
            "import numpy as np; from PIL import Image",
            f"images = np.asarray({opened}, '{dtype}'){axes}",
            *use,
        )
    )
