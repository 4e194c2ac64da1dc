"""PyTorch's side: training loops as one writes them by hand, without Keras.

Batches are slices of a tensor, the loss is summed on the device and read once: nothing of a data
loader, a progress bar or metrics is held against PyTorch.
"""

import contextlib
from collections.abc import Callable

import torch
from torch.nn import functional as F

from benchmarks.versus import setting as settings
from benchmarks.versus.setting import Setting
from benchmarks.versus.twins import Classifier, load_weights


def contenders(setting: Setting, methods: list[str]) -> dict[str, Callable[[int], float]]:
    """By method, a function that trains so many steps and returns their mean loss."""
    torch.set_num_threads(setting.threads)
    return {method: trainer(method, setting) for method in methods}


def trainer(method: str, setting: Setting) -> Callable[[int], float]:
    """The training loop of one method on a model of its own."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x, y, counts = setting.arrays()
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(y).long()
    model = Classifier(setting.network, setting.classes)
    load_weights(model, setting.weights)
    model.to(device).train()
    if method in ("ce, channels_last", *settings.PYTORCH_TUNED):
        model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), settings.LEARNING_RATE, settings.MOMENTUM)
    loop = method == "ccsam, class loop"
    if method == "ce, CUDA graph":
        return graphed(model, optimizer, images, labels, setting)
    network = torch.compile(model) if method == "ce, compiled" else model

    def train(steps: int) -> float:
        total = torch.zeros((), device=device)
        for step in range(steps):
            part = slice(step * setting.batch, (step + 1) * setting.batch)
            batch, targets = images[part].to(device), labels[part].to(device)
            with precision(setting, device):
                if loop:
                    loss = class_conditional(model, batch, targets, counts)
                else:
                    loss = F.cross_entropy(network(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        mean = float(total) / steps
        if device.type == "cuda":
            torch.cuda.synchronize()
        return mean

    return train


def graphed(
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    setting: Setting,
) -> Callable[[int], float]:
    """A whole step of cross-entropy as one CUDA graph, which is replayed."""
    device = torch.device("cuda")
    batch, targets = (part[: setting.batch].to(device) for part in (images, labels))
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def step() -> torch.Tensor:
        with precision(setting, device):
            loss = F.cross_entropy(model(batch), targets)
        loss.backward()
        optimizer.step()
        return loss

    # Some steps before it is recorded, on a stream of their own, as PyTorch asks; then they are
    # undone in place, since the graph keeps the addresses.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            step()
    torch.cuda.current_stream().wait_stream(stream)
    optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(first[name])
        for state in optimizer.state.values():
            state["momentum_buffer"].zero_()  # a zero is what the first step begins with

    def train(steps: int) -> float:
        total = torch.zeros((), device=device)
        for number in range(steps):
            part = slice(number * setting.batch, (number + 1) * setting.batch)
            batch.copy_(images[part])
            targets.copy_(labels[part])
            graph.replay()
            total += loss.detach()
        mean = float(total) / steps
        torch.cuda.synchronize()
        return mean

    return train


def precision(setting: Setting, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Autocast to bfloat16 where that is asked for."""
    if setting.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def class_conditional(
    model: Classifier, images: torch.Tensor, labels: torch.Tensor, counts: list[int]
) -> torch.Tensor:
    """CC-SAM's first stage, class by class.

        g_c   = grad_w mean_{i in B_c} l_i(w)                        w: the head
        rho_c = r sqrt(||w|| / (2 ||g_c||)) k^(-1/4) (n_c - 1)^(-1/4)
        eps_c = sqrt(k) rho_c g_c / ||g_c||
        L     = (1 - lambda) mean_i l_i(w) + lambda mean_i l_i(w + eps_{y_i})

    The features are computed once; each class takes a gradient of the head, and a pass of it.
    """
    features = model.features(images)
    clean = F.cross_entropy(model.head(features), labels)
    weights = list(model.head.parameters())
    scalars = sum(weight.numel() for weight in weights)
    length = norm([weight.detach() for weight in weights])
    perturbed = torch.zeros_like(clean)
    for label in labels.unique().tolist():
        rows = labels == label
        own, targets = features[rows], labels[rows]
        loss = F.cross_entropy(model.head(own.detach()), targets)
        gradients = torch.autograd.grad(loss, weights)
        steepness = norm(gradients)
        rho = settings.RADIUS_SCALE * torch.sqrt(length / (2 * steepness))
        rho = rho * scalars**-0.25 * max(counts[label] - 1, 1) ** -0.25
        step = scalars**0.5 * rho / steepness
        kernel, bias = (w + step * g for w, g in zip(weights, gradients, strict=True))
        logits = F.linear(own, kernel, bias)
        perturbed = perturbed + F.cross_entropy(logits, targets, reduction="sum")
    share = settings.FLAT_RATIO
    return (1 - share) * clean + share * perturbed / len(labels)


def norm(tensors: list[torch.Tensor] | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The joint Euclidean norm."""
    return torch.sqrt(sum((tensor * tensor).sum() for tensor in tensors))
