"""What is recorded is JSON and text that Postgres holds, whatever a stage or a site hands over."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest

from humannet_ops.catalog import storable


class Word(StrEnum):
    ONE = "one"


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (0.1234567891, 0.123457),
        (float("nan"), None),
        (float("-inf"), None),
        (np.float32(0.1), 0.1),
        (np.float64("nan"), None),
        (np.float64(0.1234567891), 0.123457),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (True, True),
        (2**63, 2**63),
        (None, None),
        (Word.ONE, "one"),
        (Number.ONE, 1),
        ("a\0b", "ab"),
        ("a\udcffb", "a\\udcffb"),
        (("x", (1.00000049, ["y\0"])), ["x", [1.0, ["y"]]]),
        (OrderedDict({"k\0": {1: np.float32(2)}}), {"k": {"1": 2.0}}),
    ],
)
def test_what_postgres_refuses_is_made_plain(value: Any, held: Any) -> None:
    text = storable.plain_json_text({"value": value})
    found = json.loads(text, parse_constant=pytest.fail)["value"]
    assert found == held
    assert type(found) is type(held)
    text.encode()


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        storable.plain_json_text({"value": object()})
