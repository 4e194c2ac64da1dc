"""What a run leaves, but for its times: the same from whatever process it comes."""

import json

import keras

_TIMES = ("seconds", "ms_per_step", "time", "process")


def left(run):
    """Every file's name, the weights, the records, the results and what it was asked for."""
    model = keras.models.load_model(run / "model.keras", compile=False)
    told = {
        name: _without_times(json.loads((run / name).read_text(encoding="utf-8")))
        for name in ("results.json", "environment.json", "state.json")
    }
    told["environment.json"].pop("command")
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        # Tests leave the pictures out in their own process.
        "files": sorted(
            str(file.relative_to(run)) for file in run.rglob("*") if file.suffix != ".png"
        ),
        "recipe": (run / "recipe.toml").read_bytes(),
        "indices": (run / "indices.npz").read_bytes(),
        "layers": model.get_config(),
        "weights": [value.tobytes() for value in model.get_weights()],
        "records": [_without_times(json.loads(line)) for line in lines],
        **told,
    }


def assert_same(one, other):
    """Two runs are the same to the last bit."""
    first, second = left(one), left(other)
    for name, value in first.items():
        assert second[name] == value, name


def _without_times(value):
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in _TIMES}
    return [_without_times(v) for v in value] if isinstance(value, list) else value
