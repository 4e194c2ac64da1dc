"""A process that computes while it is asked, and never else."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

GRACE = 5.0
"""Seconds that an interrupted process has to end by itself."""


class Asked:
    """Answers each line of JSON with one.

    It ends with the block: after what it computes, or at once where an exception leaves the block.

    Args:
        name: for messages.
        command: that starts it.
        environment: of it.

    Raises:
        RuntimeError: in `hear` and `ask`, if the process has ended; with the last it said.
    """

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )

    def tell(self, **command: Any) -> None:
        """One command, whose answer `hear` will give."""
        if self._process.stdin is not None and self._process.poll() is None:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"The worker {self.name} ended:\n{self._last_errors()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **command: Any) -> dict[str, Any]:
        """The answer to one command."""
        self.tell(**command)
        return self.hear()

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is not None:
            self._end()
        self._process.communicate()
        self._errors.close()

    def _end(self) -> None:
        """Does not wait for what it computes: it may compile for minutes."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self._process.kill()

    def _last_errors(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-3000:]
