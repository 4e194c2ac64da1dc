"""One model on several workers of a Ray cluster: Ray Train starts them, the run joins them.

    pip install "keras-ccsam[torch,ray]" "ray[train]"
    python examples/ray_train.py runs/by-ray [--workers 2] [--epochs 20] [--gpu]

The folder must be one that all workers see. Without a cluster Ray starts one on this machine. The
numbers are those of one process, but for rounding; many runs instead of one large one are
`ccsam compare --launcher ray`.
"""

import argparse
from pathlib import Path


def train(told: dict) -> None:
    """What each worker executes: the run of one process, and `join_processes` before it."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras_ccsam as cc

    cc.join_processes()  # those that Ray has started
    recipe = cc.recipes.load("ccsam", overrides=(f"stage1.epochs={told['epochs']}",))
    cc.runs.run(recipe, told["out"], progress="line")


def main() -> None:
    """Start the workers, and say what the run has found."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="an absent or empty folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20, help="epochs of stage 1")
    parser.add_argument("--gpu", action="store_true", help="one GPU for each worker")
    given = parser.parse_args()
    out = Path(given.out).absolute()
    TorchTrainer(
        train,
        train_loop_config={"out": str(out), "epochs": given.epochs},
        scaling_config=ScalingConfig(num_workers=given.workers, use_gpu=given.gpu),
        run_config=RunConfig(storage_path=str(out.parent / "ray-train")),
    ).fit()
    print((out / "results.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
