"""A whole number from 1 on, as a type of options."""

from __future__ import annotations

from typing import Any

import click


class Count(click.ParamType):  # type: ignore[type-arg]
    """A whole number from 1 on."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read one; what else is typed is refused."""
        text = str(value).strip()
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if number < 1:
            self.fail(f"it must be a whole number from 1 on. Received: {value}", param, ctx)
        return number
