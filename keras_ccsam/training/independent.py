"""The stock layers, operations and losses that treat each sample by itself.

Granted by name: it cannot be read from weights and numbers. `coupling.py` asks them for the options
with which they would not.
"""

from keras import layers, losses

LAYERS = frozenset(
    {
        layers.Activation,
        layers.Add,
        layers.Average,
        layers.AveragePooling1D,
        layers.AveragePooling2D,
        layers.AveragePooling3D,
        layers.BatchNormalization,
        layers.Concatenate,
        layers.Conv1D,
        layers.Conv1DTranspose,
        layers.Conv2D,
        layers.Conv2DTranspose,
        layers.Conv3D,
        layers.Conv3DTranspose,
        layers.Cropping1D,
        layers.Cropping2D,
        layers.Cropping3D,
        layers.Dense,
        layers.DepthwiseConv1D,
        layers.DepthwiseConv2D,
        layers.ELU,
        layers.EinsumDense,
        layers.Embedding,
        layers.Flatten,
        layers.GlobalAveragePooling1D,
        layers.GlobalAveragePooling2D,
        layers.GlobalAveragePooling3D,
        layers.GlobalMaxPooling1D,
        layers.GlobalMaxPooling2D,
        layers.GlobalMaxPooling3D,
        layers.GroupNormalization,
        layers.Identity,
        layers.InputLayer,
        layers.LayerNormalization,
        layers.LeakyReLU,
        layers.MaxPooling1D,
        layers.MaxPooling2D,
        layers.MaxPooling3D,
        layers.Maximum,
        layers.Minimum,
        layers.MultiHeadAttention,
        layers.Multiply,
        layers.PReLU,
        layers.Permute,
        layers.RMSNormalization,
        layers.ReLU,
        layers.RepeatVector,
        layers.Rescaling,
        layers.Reshape,
        layers.SeparableConv1D,
        layers.SeparableConv2D,
        layers.Softmax,
        layers.Subtract,
        layers.UnitNormalization,
        layers.UpSampling1D,
        layers.UpSampling2D,
        layers.UpSampling3D,
        layers.ZeroPadding1D,
        layers.ZeroPadding2D,
        layers.ZeroPadding3D,
    }
)
# Operations on tensors outside any layer, which act on each element by itself.
ELEMENTWISE = frozenset(
    {
        "Absolute",
        "Add",
        "Divide",
        "Elu",
        "Exp",
        "Gelu",
        "HardSwish",
        "LeakyRelu",
        "Maximum",
        "Minimum",
        "Multiply",
        "Negative",
        "Relu",
        "Relu6",
        "Rsqrt",
        "Sigmoid",
        "Silu",
        "Softplus",
        "Sqrt",
        "Square",
        "Subtract",
        "Tanh",
        "TrueDivide",
    }
)
LOSSES = frozenset(
    {
        losses.BinaryCrossentropy,
        losses.BinaryFocalCrossentropy,
        losses.CategoricalCrossentropy,
        losses.CategoricalFocalCrossentropy,
        losses.CategoricalHinge,
        losses.KLDivergence,
        losses.MeanSquaredError,
        losses.SparseCategoricalCrossentropy,
    }
)
LOSS_FUNCTIONS = (
    losses.binary_crossentropy,
    losses.categorical_crossentropy,
    losses.sparse_categorical_crossentropy,
)
