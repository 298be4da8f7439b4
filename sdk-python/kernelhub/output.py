"""A part of what a run wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Output(str):
    """The text; a str that knows whether it is all that was asked for.

    truncated  head or tail was longer than the service gives at once (8 MiB): a head lacks lines
               at its end, a tail at its beginning
    """

    truncated: bool

    def __new__(cls, text: str, truncated: bool = False) -> Output:
        self = super().__new__(cls, text)
        self.truncated = truncated
        return self

    @classmethod
    def joined(cls, parts: Iterable[str], headers: Mapping[str, str]) -> Output:
        """The parts, with what the headers of the last one say."""
        return cls("".join(parts), headers.get("X-Truncated") == "true")
