"""What is said of a file that is no image, or one that cannot be used."""

import os
from typing import Literal

Reason = Literal["missing", "empty", "truncated", "foreign", "too large", "corrupt"]


class UnreadableImage(ValueError):
    """A file that cannot be read as an image.

    Attributes:
        file: its name; a stand-in for bytes.
        kind: `"missing"`, `"empty"` (zero bytes), `"truncated"`, `"foreign"` (of no known image
            format), `"too large"` (more pixels than are decoded) or `"corrupt"`.
        reason: what is wrong, in words.
    """

    def __init__(self, file: str | os.PathLike[str], kind: Reason, reason: str) -> None:
        self.file, self.kind, self.reason = str(file), kind, reason
        super().__init__(
            f"The image cannot be read: {reason}; `ccsam data verify` finds all such files of a "
            'set, and on_error="skip" leaves them out (--set data.on_error=skip on the command '
            f"line). Received: file={self.file!r}"
        )

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """How another process is told of it."""
        return type(self), (self.file, self.kind, self.reason)
