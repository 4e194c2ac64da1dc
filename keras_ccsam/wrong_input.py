"""What wrong input raises, apart from what goes wrong with right input.

A file that is missing, is there already or may not be read was named by the user; running out of
disk or memory was not.
"""

INPUT_ERRORS = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


def exit_code(error: Exception) -> int:
    """The exit code of a command that ends with an error.

    Args:
        error: any; one that has an `exit_code` of its own says so itself.

    Returns:
        2 for wrong input, else 1.
    """
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    return 2 if isinstance(error, INPUT_ERRORS) else 1
