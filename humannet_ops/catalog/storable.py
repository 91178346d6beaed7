"""Making values that Postgres can hold of those that come from outside: its text has no NUL, its JSON no NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def text(value: str) -> str:
    """Return a text without NUL, and with lone surrogates written as ``\\udcff``."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> Any:
    """Make a JSON value of numpy scalars, tuples and texts that Postgres refuses."""
    # by their types, for nearly every value is one of these: asking what is a Mapping costs more than the rest
    kind = type(value)
    if kind is float:
        # JSON has no NaN; six digits are more than any score means
        return round(value, 6) if math.isfinite(value) else None
    if kind is int or kind is bool or value is None:
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        return plain(value.item())
    return plain(float(value)) if isinstance(value, float) else value


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str).encode
_encode_strictly = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_text(value: Mapping[str, Any]) -> str:
    """Return JSON that Postgres takes; what needs no care, which is nearly everything, is encoded once.

    Numbers keep all their digits.
    """
    try:
        encoded = _encode(value)
        if "\\u0000" not in encoded and (encoded.isascii() or encoded.encode()):
            return encoded
    except (ValueError, TypeError):
        # NaN, a lone surrogate (UnicodeEncodeError), a key that is no text
        pass
    return _encode(plain(value))


def plain_json_text(value: Mapping[str, Any]) -> str:
    """Return the JSON of ``plain``.

    Raises:
        TypeError: there is something in it that JSON has no word for.
    """
    return _encode_strictly(plain(value))
