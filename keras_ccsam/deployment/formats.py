"""The formats that a trained model can be exported to.

It imports the standard library alone: the command line asks it before Keras is imported.

What Keras 3.15 does of its own accord, and what is done here about it:

| format | by itself | here |
| --- | --- | --- |
| keras | any backend | stock layers, so that it loads without this package |
| onnx | PyTorch, without layer normalisation; others with packages of theirs | by PyTorch |
| saved_model | TensorFlow; JAX with TensorFlow; PyTorch fails with a shape error | by TensorFlow |
| litert | TensorFlow; PyTorch with litert-torch and one batch size; not JAX | by TensorFlow |
| torch | PyTorch, with one batch size | by PyTorch, with any batch size |

A trained network is a file of stock Keras layers that every backend reads, so it does not matter on
which it was trained: where the right one is not the one in use, a process of its own exports. (With
tf2onnx 1.17 TensorFlow writes a file that no runtime takes of a model that resizes its images.)
"""

import importlib.util
from dataclasses import dataclass

from keras_ccsam.hints import did_you_mean

Route = tuple[str, tuple[str, ...]]
"""A Keras backend that can write a format, and the packages that it needs for it."""


@dataclass(frozen=True)
class Format:
    """A kind of exported model.

    Attributes:
        name: as users write it.
        suffix: of the file; empty for a folder.
        routes: ways to write it, the best first; none where any backend does.
        runtime: the package that runs it, if that is not the backend that wrote it.
        extra: of this package, which installs what is needed.
        what: one line for people.
    """

    name: str
    suffix: str
    routes: tuple[Route, ...]
    runtime: str | None
    extra: str
    what: str

    @property
    def default_name(self) -> str:
        """What a file of it is called where nobody says it."""
        return f"model{self.suffix}" if self.suffix else self.name

    def route(self) -> str | None:
        """The backend to write it with, of those installed; None where any does.

        Raises:
            ValueError: what has to be installed.
        """
        if not self.routes:
            return None
        for backend, packages in self.routes:
            if all(installed(name) for name in (backend, *packages)):
                return backend
        ways = " or ".join(" and ".join((backend, *more)) for backend, more in self.routes)
        raise ValueError(
            f"the format {self.name} is written with {ways}, and that is not installed: pip "
            f'install "keras-ccsam[{self.extra}]". Received: format={self.name!r}'
        )


FORMATS = {
    found.name: found
    for found in (
        Format("keras", ".keras", (), None, "torch", "a Keras file of stock layers"),
        Format(
            "onnx",
            ".onnx",
            (("torch", ("onnx", "onnxscript")),),
            "onnxruntime",
            "onnx",
            "an ONNX file, for ONNX Runtime and others",
        ),
        Format(
            "saved_model",
            "",
            (("tensorflow", ()),),
            None,
            "tensorflow",
            "a folder, for TensorFlow and TensorFlow Serving",
        ),
        Format(
            "litert",
            ".tflite",
            (("tensorflow", ()),),
            None,
            "tensorflow",
            "a LiteRT (TensorFlow Lite) file, for phones and small devices",
        ),
        Format("torch", ".pt2", (("torch", ()),), None, "torch", "a torch.export program"),
    )
}


def find(name: str) -> Format:
    """The format of a name.

    Raises:
        ValueError: there is none, with the closest name.
    """
    if name in FORMATS:
        return FORMATS[name]
    hint = did_you_mean(name, FORMATS) or f"; choose from {', '.join(FORMATS)}."
    raise ValueError(f"there is no format {name!r}{hint} Received: format={name!r}")


def installed(package: str) -> bool:
    """Whether a package can be imported; nothing is imported to find out."""
    return importlib.util.find_spec(package) is not None
