"""What `import keras_ccsam` takes along: Keras' own imports, and the packages named here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).resolve().parent.parent
# Recipes are checked by pydantic, the rest of what it needs.
ALLOWED = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection", "typing_extensions"}
# A second each: the plots', the digits' and the report's packages, and the command line's.
HEAVY = {"matplotlib", "sklearn", "scipy", "PIL", "pandas", "plotly", "jinja2", "rich", "click"}
SCRIPT = """
import json, sys, keras
before = set(sys.modules)
import keras_ccsam as cc
new = set(sys.modules) - before
names = [cc.recipes.load.__name__, cc.runs.run.__name__, cc.data.load.__name__]
registered = sorted(key for key in keras.saving.get_custom_objects() if "keras_ccsam" in key)

data = cc.data.load("digits-lt", imbalance_ratio=10)
model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Flatten(),
    keras.layers.Dense(10, activation="softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(data.batches(workers=2), epochs=2, verbose=0, validation_data=data.test)
model.evaluate(data.test, verbose=0)

print(json.dumps({"before": sorted(before), "new": sorted(new), "registered": registered,
    "after training": sorted(sys.modules)}))
"""


@pytest.mark.slow
def test_nothing_heavy_is_imported_and_everything_is_registered():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    found = json.loads(done.stdout.splitlines()[-1])

    def packages(names: list[str]) -> set[str]:
        return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)

    new = packages(found["new"]) - packages(found["before"])
    assert "keras_ccsam" in new
    assert not new & HEAVY
    assert {name for name in new if not name.startswith("_")} <= ALLOWED | {"keras_ccsam"}
    for name in ("CCSAM", "SAM", "LDAM", "Cosine", "WarmupSteps", "ExpectedCalibrationError"):
        assert f"keras_ccsam>{name}" in found["registered"]
    # Nor does one of the other backends bring TensorFlow along when it trains on our batches.
    assert ("tensorflow" in found["after training"]) is (keras.backend.backend() == "tensorflow")
