"""Reads fields of a reply by type. What is missing or strange becomes the default: replies grow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .errors import ProtocolError

Json = dict[str, Any]


def as_object(value: Any, what: str) -> Json:
    if not isinstance(value, dict):
        raise ProtocolError(f"{what}: the service did not answer with a JSON object")
    return value


def as_items(value: Any, what: str) -> list[Json]:
    """The items of a list reply, `{"items": [...], "next": cursor-or-null}`."""
    items = as_object(value, what).get("items")
    if not isinstance(items, list):
        raise ProtocolError(f"{what}: the reply has no list 'items'")
    return [as_object(item, what) for item in items]


def text(raw: Mapping[str, Any], name: str, default: str = "") -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else default


def optional_text(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    return value if isinstance(value, str) else None


def optional_integer(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def integer(raw: Mapping[str, Any], name: str) -> int:
    return optional_integer(raw, name) or 0


def optional_number(raw: Mapping[str, Any], name: str) -> float | None:
    value = raw.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def mapping(raw: Mapping[str, Any], name: str) -> Json:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def objects(raw: Mapping[str, Any], name: str) -> list[Json]:
    value = raw.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(raw: Mapping[str, Any], name: str) -> list[str]:
    value = raw.get(name)
    return [str(item) for item in value] if isinstance(value, list) else []


def time(raw: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text(raw, name).replace("Z", "+00:00"))
    except ValueError:
        return None
