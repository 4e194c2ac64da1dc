"""Networks that only benchmarks train, from images (32, 32, 3) in 0..255 to features."""

from typing import Any


def mlp() -> Any:
    """Three dense layers of 256, each with LayerNorm."""
    import keras
    from keras import layers

    images = keras.Input((32, 32, 3))
    x = layers.Flatten()(layers.Rescaling(1.0 / 255.0, name="normalization")(images))
    for _ in range(3):
        x = layers.LayerNormalization()(layers.Dense(256, activation="relu")(x))
    return keras.Model(images, x)


def vit() -> Any:
    """A small vision transformer: 64 tokens of 64, four blocks of four heads, no dropout."""
    import keras
    from keras import layers

    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1.0 / 255.0, name="normalization")(images)
    x = layers.Reshape((64, 64))(layers.Conv2D(64, 4, strides=4, name="patches")(x))
    for block in (f"block{number}_" for number in range(1, 5)):
        y = layers.LayerNormalization(name=block + "norm1")(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 16, name=block + "attention")(y, y)])
        y = layers.LayerNormalization(name=block + "norm2")(x)
        y = layers.Dense(128, activation="gelu", name=block + "dense1")(y)
        x = layers.Add()([x, layers.Dense(64, name=block + "dense2")(y)])
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(images, layers.GlobalAveragePooling1D()(x))
