"""What the frameworks read when they start, for results that are the same in each run.

It imports no framework: the command line sets the variables before Keras is imported.
"""

from collections.abc import MutableMapping

_XLA = "--xla_gpu_deterministic_ops=true"


_seen_to: list[str] = []


def seen_to(backend: str) -> None:
    """Note that a framework has been told."""
    _seen_to.append(backend)


def is_deterministic() -> bool:
    """Whether `make_deterministic` has been called in this process."""
    return bool(_seen_to)


def set_variables(backend: str, environment: MutableMapping[str, str]) -> None:
    """Set the environment variables that a backend reads; what its user has set stays.

    Args:
        backend: `"jax"`, `"tensorflow"` or `"torch"`.
        environment: `os.environ`.
    """
    if backend == "jax" and not are_set(backend, environment):
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {_XLA}".strip()
    if backend == "torch":  # cuBLAS reads it when it is first used
        environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if backend == "tensorflow":
        environment.setdefault("TF_DETERMINISTIC_OPS", "1")


def are_set(backend: str, environment: MutableMapping[str, str]) -> bool:
    """Whether the variables without which a GPU is not deterministic are there."""
    if backend == "jax":
        return "xla_gpu_deterministic_ops" in environment.get("XLA_FLAGS", "")
    return backend != "torch" or "CUBLAS_WORKSPACE_CONFIG" in environment
