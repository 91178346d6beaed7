"""Making values that Postgres can hold of those that come from outside: its text has no NUL, its JSON no NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def text(value: str) -> str:
    """Return a text without NUL, and with lone surrogates written as ``\\udcff``."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> Any:
    """Make a JSON value of numpy scalars, tuples and texts that Postgres refuses."""
    if isinstance(value, Mapping):
        return {text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return text(value)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        # JSON has no NaN; six digits are more than any score means
        return round(value, 6) if value == value and abs(value) != float("inf") else None
    return value


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str).encode


def json_text(value: Mapping[str, Any]) -> str:
    """Return JSON that Postgres takes; what needs no care, which is nearly everything, is encoded once."""
    try:
        encoded = _encode(value)
        if "\\u0000" not in encoded and (encoded.isascii() or encoded.encode()):
            return encoded
    except (ValueError, TypeError):
        # NaN, a lone surrogate (UnicodeEncodeError), a key that is no text
        pass
    return _encode(plain(value))
