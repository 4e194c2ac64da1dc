"""How exactly a GPU multiplies what is float32: in full, or rounded to ten bits (TF32)."""


def set_precision(backend: str, precision: str) -> None:
    """Before anything is computed. On a CPU it changes nothing.

    Args:
        backend: the framework of this process.
        precision: of `Setting`. Frameworks differ in what they do unless they are told.
    """
    tf32 = precision == "tf32"
    if backend == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
    elif backend == "jax":
        import jax

        wanted = {"float32": "highest", "tf32": "tensorfloat32"}.get(precision)
        jax.config.update("jax_default_matmul_precision", wanted)
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(tf32)
