"""The networks written by hand in PyTorch, and the way of Keras' weights into them.

Modules are named as the Keras layers are, with dots where they nest: `stage1_block1.conv1` is the
layer `stage1_block1_conv1`. Where Keras differs from PyTorch's habits, the twin follows Keras: the
first 1x1 convolution of a ResNet-50 block has the stride, its convolutions have biases, and
LayerNorm's epsilon is 1e-3. A momentum m of Keras' BatchNorm is 1 - m here; the moving variance is
the unbiased one here and the biased one there, which no training step reads.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Pixels(nn.Module):
    """Pixels 0..255 to what the network takes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.zeros(3, 1, 1))
        self.register_buffer("offset", torch.zeros(3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float() * self.scale + self.offset


class BasicBlock(nn.Module):
    """Of the CIFAR ResNets, with the shortcut that has no parameters (option A)."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.stride = 1 if before == width else 2
        self.added = width - before
        self.conv1 = nn.Conv2d(before, width, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride == 2:
            low = self.added // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, low, self.added - low))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """He et al. (2015), section 4.2, of 6 n + 2 layers: images to features (B, 64)."""

    width = 64

    def __init__(self, n: int) -> None:
        super().__init__()
        self.normalization = Pixels()
        self.stem_conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(16)
        before = 16
        self.blocks = []
        for stage, width in enumerate((16, 32, 64), start=1):
            for number in range(1, n + 1):
                self.blocks.append(f"stage{stage}_block{number}")
                self.add_module(self.blocks[-1], BasicBlock(before, width))
                before = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem_bn(self.stem_conv(self.normalization(x))))
        for block in self.blocks:
            x = getattr(self, block)(x)
        return x.mean((2, 3))


def _norm50(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1.001e-5, momentum=0.01)


class Bottleneck(nn.ModuleDict):
    """Of ResNet-50 as Keras has it."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        wide = 4 * width
        layers = {
            "1_conv": nn.Conv2d(before, width, 1, stride),
            "1_bn": _norm50(width),
            "2_conv": nn.Conv2d(width, width, 3, padding=1),
            "2_bn": _norm50(width),
            "3_conv": nn.Conv2d(width, wide, 1),
            "3_bn": _norm50(wide),
        }
        if before != wide:
            layers |= {"0_conv": nn.Conv2d(before, wide, 1, stride), "0_bn": _norm50(wide)}
        super().__init__(layers)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self["0_bn"](self["0_conv"](x)) if "0_conv" in self else x
        y = self.relu(self["1_bn"](self["1_conv"](x)))
        y = self.relu(self["2_bn"](self["2_conv"](y)))
        return self.relu(self["3_bn"](self["3_conv"](y)) + shortcut)


class ResNet50(nn.Module):
    """Images to features (B, 2048)."""

    width = 2048

    def __init__(self) -> None:
        super().__init__()
        self.normalization = Pixels()
        self.conv1_conv = nn.Conv2d(3, 64, 7, 2, padding=3)
        self.conv1_bn = _norm50(64)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        before = 64
        self.blocks = []
        for stage, (width, number) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
            for block in range(1, number + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                self.blocks.append(f"conv{stage}_block{block}")
                self.add_module(self.blocks[-1], Bottleneck(before, width, stride))
                before = 4 * width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.conv1_bn(self.conv1_conv(self.normalization(x)))))
        for block in self.blocks:
            x = getattr(self, block)(x)
        return x.mean((2, 3))


class TransformerBlock(nn.Module):
    """Attention, then two dense layers, each behind a LayerNorm and around a shortcut."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-3)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-3)
        self.dense1 = nn.Linear(width, 2 * width)
        self.dense2 = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.dense2(F.gelu(self.dense1(self.norm2(x))))


class ViT(nn.Module):
    """The small transformer of `benchmarks/networks.py`: images to features (B, 64)."""

    width = 64

    def __init__(self) -> None:
        super().__init__()
        self.normalization = Pixels()
        self.patches = nn.Conv2d(3, 64, 4, 4)
        self.blocks = [f"block{number}" for number in range(1, 5)]
        for block in self.blocks:
            self.add_module(block, TransformerBlock())
        self.norm = nn.LayerNorm(64, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(self.normalization(x)).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = getattr(self, block)(x)
        return self.norm(x).mean(1)


TWINS: dict[str, Any] = {
    "resnet8": lambda: CifarResNet(1),
    "resnet32": lambda: CifarResNet(5),
    "resnet50": ResNet50,
    "resnet50-224": ResNet50,
    "vit": ViT,
}


class Classifier(nn.Module):
    """A backbone and a linear head."""

    def __init__(self, network: str, classes: int) -> None:
        super().__init__()
        self.features = TWINS[network]()
        self.head = nn.Linear(self.features.width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def load_weights(model: Classifier, path: str) -> None:
    """Keras' weights, by name; every value must find its place and every tensor its value."""
    with np.load(path, allow_pickle=False) as file:
        values = {name: torch.from_numpy(file[name]) for name in file.files}
    state = {}
    for prefix, part in (("features.", model.features), ("head.", model.head)):
        for name, module in part.named_modules(prefix=prefix[:-1]):
            layer = name.removeprefix("features.").replace(".", "_")
            state |= {f"{name}.{key}": value for key, value in tensors(module, layer, values)}
    if values:
        raise ValueError(f"The PyTorch twin has no place for {sorted(values)}.")
    model.load_state_dict(state)


def tensors(
    module: nn.Module, layer: str, values: dict[str, torch.Tensor]
) -> list[tuple[str, torch.Tensor]]:
    """What a module's own tensors are in Keras' terms; taken out of `values`."""

    def take(name: str) -> torch.Tensor:
        return values.pop(f"{layer}/{name}")

    if isinstance(module, Pixels):
        return [("scale", take("scale")), ("offset", take("offset"))]
    if isinstance(module, nn.Conv2d | nn.Linear) and f"{layer}/kernel" in values:
        kernel = take("kernel")
        weight = kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        bias = [("bias", take("bias"))] if module.bias is not None else []
        return [("weight", weight), *bias]
    if isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
        pairs = [("weight", take("gamma")), ("bias", take("beta"))]
        if isinstance(module, nn.BatchNorm2d):
            pairs += [
                ("running_mean", take("moving_mean")),
                ("running_var", take("moving_variance")),
                ("num_batches_tracked", torch.tensor(0)),
            ]
        return pairs
    if isinstance(module, nn.MultiheadAttention):
        width, inputs = module.embed_dim, ("query", "key", "value")
        kernels = [take(f"{part}/kernel").reshape(width, width).T for part in inputs]
        return [
            ("in_proj_weight", torch.cat(kernels)),
            ("in_proj_bias", torch.cat([take(f"{part}/bias").reshape(-1) for part in inputs])),
            ("out_proj.weight", take("attention_output/kernel").reshape(width, width).T),
            ("out_proj.bias", take("attention_output/bias")),
        ]
    return []
