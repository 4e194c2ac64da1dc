"""Whether the C library keeps the memory that a step frees, for JAX on a CPU.

XLA asks for the whole memory of a step at its begin and frees it at its end. glibc gives blocks of
that size back to the system, which fills each page with zeros anew at its first touch: a third of
a small transformer's step. It imports no framework: the command line calls it before Keras is
imported, because a thread that has allocated stays with the pool that it took.
"""

import ctypes
import sys
from collections.abc import MutableMapping

# By `mallopt`'s number and glibc's variable: one pool for all threads, since only the first may
# hold blocks of any size; no block by itself; nothing given back.
_SETTINGS = (
    (-8, "MALLOC_ARENA_MAX", 1, "1"),
    (-4, "MALLOC_MMAP_MAX_", 0, "0"),
    (-1, "MALLOC_TRIM_THRESHOLD_", -1, str(2**62)),
)


def hold(environment: MutableMapping[str, str]) -> bool:
    """Keep what is freed, in this process and those that it starts.

    Args:
        environment: `os.environ`. Where its user has set a variable of glibc's malloc, nothing is
            changed.

    Returns:
        Whether memory is held now; False on systems without glibc, too.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in environment):
        return False
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
    except OSError:  # a Python that is linked statically
        return False
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    environment.update(variables())
    done = [library.mallopt(number, value) for number, _, value, _ in _SETTINGS]
    return all(done)


def variables() -> dict[str, str]:
    """The environment variables that say the same to a process that is yet to start."""
    return {name: text for _, name, _, text in _SETTINGS}
