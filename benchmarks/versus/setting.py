"""What is trained, as the driver tells its workers: one network, batch size and precision."""

import dataclasses
import json
from typing import Any

LEARNING_RATE = 0.01
MOMENTUM = 0.9
SAM_RADIUS = 0.05
# Ten times the default, at which the perturbed loss would differ from the clean one too little for
# the comparison of first losses to notice a wrong perturbation. It costs the same.
RADIUS_SCALE = 0.1
FLAT_RATIO = 0.5


@dataclasses.dataclass(frozen=True)
class Network:
    """Image size, and what is measured by default."""

    size: int
    batches: tuple[int, ...]
    steps: int


NETWORKS = {
    "resnet32": Network(size=32, batches=(64, 128), steps=8),
    "resnet50": Network(size=64, batches=(32,), steps=4),
    "vit": Network(size=32, batches=(128,), steps=16),
    "resnet50-224": Network(size=224, batches=(64,), steps=8),
    "resnet8": Network(size=32, batches=(8,), steps=2),
}
# What `versus_pytorch.py` measures unless it is told otherwise.
USUAL = ("resnet32", "resnet50", "vit")
PRECISIONS = ("float32", "tf32", "bfloat16")

# What each kind of worker can train, and which of the losses it descends: contenders of one loss
# must agree on it at the first step.
PYTORCH = {"ce": "ce", "ce, channels_last": "ce", "ccsam, class loop": "ccsam"}
# PyTorch at its fastest, where there is a GPU: both with channels_last.
PYTORCH_TUNED = {"ce, compiled": "ce", "ce, CUDA graph": "ce"}
KERAS = {"keras fit": "ce", "ce": "ce", "ccsam": "ccsam", "sam": "sam"}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One comparison.

    Args:
        network: a name of `NETWORKS`.
        batch: images per step.
        classes: of the head and the data.
        steps: batches of the data, the most that a round trains.
        precision: `"float32"`; `"tf32"`, float32 whose products a GPU rounds to ten bits; or
            `"bfloat16"`.
        threads: of each worker.
        weights: path of the npz file with everybody's first weights.
    """

    network: str
    batch: int
    classes: int
    steps: int
    precision: str
    threads: int
    weights: str

    def arrays(self) -> tuple[Any, Any, list[int]]:
        """Images, labels, and the counts of the classes."""
        from benchmarks.timing import arrays

        return arrays(self.batch, self.classes, self.steps, NETWORKS[self.network].size)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Setting":
        return cls(**json.loads(text))
