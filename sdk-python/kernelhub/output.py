"""A part of what a run wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Output(str):
    """The text; a str that knows how it stands in the whole.

    truncated    head or tail has more than `limit` (8 MiB when not given) allows: a head lacks
                 lines at its end, a tail at its beginning
    next_offset  where the next part begins; None at the end of what is stored now
    total_bytes  of all that grep leaves; None when it was not counted, see `total`
    """

    truncated: bool
    next_offset: int | None
    total_bytes: int | None

    def __new__(
        cls,
        text: str,
        truncated: bool = False,
        next_offset: int | None = None,
        total_bytes: int | None = None,
    ) -> Output:
        self = super().__new__(cls, text)
        self.truncated = truncated
        self.next_offset = next_offset
        self.total_bytes = total_bytes
        return self

    @classmethod
    def joined(cls, parts: Iterable[str], headers: Mapping[str, str]) -> Output:
        """The parts, with what the headers of the last one say."""
        return cls(
            "".join(parts),
            headers.get("X-Truncated") == "true",
            _number(headers.get("X-Next-Offset")),
            _number(headers.get("X-Total-Bytes")),
        )


class OutputParts:
    """A walk through an output: all that is there, unless a part of it is asked for. Pure."""

    def __init__(self, params: Mapping[str, object]) -> None:
        self.params = {**params}
        asked = ("limit", "head", "tail")
        self._is_one = any(params.get(name) is not None for name in asked)
        self.params["ignore_case"] = 1 if params.get("ignore_case") else None
        # Who reads to the end has counted.
        self.params["total"] = 1 if params.get("total") and self._is_one else None
        self._parts: list[str] = []
        self._headers: Mapping[str, str] = {}
        self.done = False

    def take(self, reply: tuple[str, Mapping[str, str]]) -> None:
        text, self._headers = reply
        self._parts.append(text)
        following = _number(self._headers.get("X-Next-Offset"))
        self.done = self._is_one or following is None
        self.params["offset"] = following

    def output(self) -> Output:
        return Output.joined(self._parts, self._headers)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
