"""Found in place of TensorFlow by processes that tests start for another backend.

`keras.utils.set_random_seed` imports it wherever it is installed, to seed it too: two seconds each.
"""

raise ImportError("TensorFlow is left out of this process: see tests/without_tensorflow")
