"""Names and facts in an ONNX file."""

import json
from pathlib import Path
from typing import Any


def tidy(path: Path, output: str) -> None:
    """Give the one output a name, and the batch's axis one, where the exporter has numbers.

    Args:
        path: an ONNX file with one input and one output; written anew.
        output: the name.
    """
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    made = graph.output[0]
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == made.name:
                    names[index] = output
    made.name = output
    made.type.tensor_type.shape.dim[0].dim_param = "batch"
    shape = graph.input[0].type.tensor_type.shape
    for axis, name in zip(shape.dim, ("batch", "height", "width"), strict=False):
        if not axis.HasField("dim_value"):
            axis.dim_param = name
    onnx.save(model, str(path))


def describe(path: Path, facts: dict[str, Any]) -> None:
    """Put facts into the file's `metadata_props`: text as it is, the rest as JSON."""
    import onnx

    model = onnx.load(str(path))
    text = {k: v if isinstance(v, str) else json.dumps(v) for k, v in facts.items()}
    onnx.helper.set_model_props(model, text)
    onnx.save(model, str(path))
