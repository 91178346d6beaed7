"""What is wrong with a source file, in sentences: the field, what was found there, what is expected."""

from __future__ import annotations

import datetime
import difflib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        field: Where, ``politeness.concurrent``; empty for the file as a whole.
        sentence: What was found and what is expected.
    """

    field: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.field}: {self.sentence}" if self.field else self.sentence


# What pydantic calls it, and what is expected there; `{...}` is filled in from the error's context.
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list, like [a, b]",
    "tuple_type": "a list, like [a, b]",
    "dict_type": "fields, like {{a: b}}",
    "model_type": "fields, like {{a: b}}",
    "model_attributes_type": "fields, like {{a: b}}",
    "byte_size": "a size, like 50 GB",
    "byte_size_unit": "a size, like 50 GB",
    "date_type": "a day, like 2026-01-31",
    "date_parsing": "a day, like 2026-01-31",
    "date_from_datetime_parsing": "a day, like 2026-01-31",
    "date_from_datetime_inexact": "a day, like 2026-01-31",
    "ip_any_network": "a network, like 10.20.0.0/16",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "finite_number": "a finite number",
}
_PATTERNS = {
    r"^[a-z][a-z0-9_]{0,62}$": "a small letter, then small letters, digits and _, like my_videos",
    r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$": "begin and end, like '22:00-06:00'",
    r"^[A-Za-z_-]+/\S.*$": "a name with its version, like my-crawler/1.0 (you@example.org)",
    r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$": "a bucket and a prefix, like s3://bucket/prefix",
    r"^https?://[^\s/]+/?$": "a service's address, like https://s3.example.org",
}


def faults(error: ValidationError, model: type[BaseModel], content: Any) -> list[Fault]:
    """Return what is wrong with a content that a model refused: one fault a field, in the order of the file.

    A field that is missing because its name is misspelt is one fault, not two.
    """
    found: dict[tuple[Any, ...], list[Any]] = {}
    for one in error.errors(include_url=False):
        found.setdefault(_place(one["loc"], content, one["type"]), []).append(one)
    meant = {
        (*place[:-1], near)
        for place, errors in found.items()
        if errors[0]["type"] == "extra_forbidden" and (near := _meant(place, model))
    }
    order = {name: number for number, name in enumerate(content)} if isinstance(content, Mapping) else {}
    ordered = sorted(found.items(), key=lambda item: order.get(item[0][0], len(order)) if item[0] else -1)
    # what a union refuses as a whole it refuses for what is inside, which says it better
    outer = {place[:length] for place in found for length in range(1, len(place))}
    return [
        Fault(_written(place), _sentence(place, errors, model))
        for place, errors in ordered
        if place not in outer and not (errors[0]["type"] == "missing" and place in meant)
    ]


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return which of some names a misspelt one was probably meant to be."""
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None)


def listed(names: Sequence[str], last: str = "or") -> str:
    """Return names as a sentence has them: ``a, b or c``."""
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)


def shown(value: Any) -> str:
    """Return a value as its YAML was probably written."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (YAML reads yes, no, on and off so)"
    if isinstance(value, Mapping):
        return "fields"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, (datetime.date, datetime.datetime)):
        return str(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}...{text[0]}"


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field of a model means: the ``Attributes`` of its docstring and of those it extends."""
    found: dict[str, str] = {}
    for each in model.__mro__:
        section = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")[2]
        for name, text in re.findall(r"^ {4}(\w+): (.+(?:\n {6,}.+)*)", section, flags=re.MULTILINE):
            found.setdefault(name, " ".join(text.split()).replace("``", "`"))
    return found


def _written(place: tuple[Any, ...]) -> str:
    text = ""
    for part in place:
        text += f" (item {part + 1})" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _place(loc: tuple[Any, ...], content: Any, kind: str) -> tuple[Any, ...]:
    """Return an error's place without what pydantic adds to name the members of a union."""
    place: list[Any] = []
    for part in loc:
        inside = isinstance(content, Mapping) and (part in content or kind == "missing")
        inside |= isinstance(content, (list, tuple)) and isinstance(part, int)
        if inside:
            place.append(part)
            content = content.get(part) if isinstance(content, Mapping) else content[part]
    return tuple(place)


def _sentence(place: tuple[Any, ...], errors: Sequence[Any], model: type[BaseModel]) -> str:
    first = errors[0]
    if first["type"] == "extra_forbidden":
        owner = _owner(place, model)
        names = sorted(owner.model_fields) if owner else []
        near = _meant(place, model)
        return f"no such field; {f'did you mean `{near}`?' if near else f'expected {listed(names)}'}"
    if first["type"] == "missing":
        owner = _owner(place, model)
        meaning = meanings(owner).get(str(place[-1])) if owner else None
        return f"missing; expected {_first_words(meaning)}" if meaning else "missing"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "literal_error":
        names = re.findall(r"'([^']+)'", first["ctx"]["expected"])
        near = nearest(str(first["input"]), names)
        hint = f"; did you mean `{near}`?" if near else ""
        return f"found {shown(first['input'])}; expected {listed(names)}{hint}"
    if first["type"] == "string_too_short" and first["ctx"]["min_length"] == 1:
        return "empty; expected text"
    expected = listed(list(dict.fromkeys(_expected(one) for one in errors)))
    return f"found {shown(first['input'])}; expected {expected}"


def _expected(error: Any) -> str:
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"text that fits {context['pattern']}")
    words = _EXPECTED.get(error["type"])
    bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    return words.format(**bounds) if words else str(error["msg"])


def _first_words(meaning: str) -> str:
    words = re.split(r"\. |; ", meaning, maxsplit=1)[0].rstrip(".")
    return words[0].lower() + words[1:] if words[:2].istitle() or words[:2] in ("A ", "It") else words


def _owner(place: tuple[Any, ...], model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model that the last part of a place is a field of."""
    owner: type[BaseModel] | None = model
    for part in place[:-1]:
        if isinstance(part, int):
            continue
        field = owner.model_fields.get(str(part)) if owner else None
        owner = next(_models(field.annotation), None) if field else None
    return owner


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _meant(place: tuple[Any, ...], model: type[BaseModel]) -> str | None:
    owner = _owner(place, model)
    return nearest(str(place[-1]), list(owner.model_fields)) if owner else None


class UniqueKeys(yaml.SafeLoader):
    """Reads YAML and notes the fields that are said twice, of which YAML silently takes the last."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.twice: list[Fault] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping."""
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                self.twice.append(Fault(name, f"found twice, in lines {lines[name]} and {line}; expected once"))
            lines[name] = line
        return super().construct_mapping(node, deep)


def syntax(error: yaml.YAMLError) -> str:
    """Return in one line where a text is no YAML, and why."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if "'\\t'" in problem:
        problem = "found a tab; expected spaces"
    elif problem == "mapping values are not allowed here":
        problem = "found a second `: ` in a line; expected quotes around the text that has it"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem
