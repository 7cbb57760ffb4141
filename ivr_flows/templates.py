"""Words with holes: sandboxed Jinja2 without clock, randomness or attributes, bounded in output."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_OUTPUT = 2_000
MAX_TEMPLATE = 4_000


class WordsError(ValueError):
    """A template that does not parse, misses a variable, or says too much."""


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    environment.filters.pop("random", None)
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=1024)
def _compiled(source: str) -> Any:
    if len(source) > MAX_TEMPLATE:
        raise WordsError("template too long")
    try:
        return _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        raise WordsError(str(error)) from error


def check(source: str) -> set[str]:
    """Names that the template wants. Raises WordsError where it does not parse."""
    _compiled(source)
    return meta.find_undeclared_variables(_ENVIRONMENT.parse(source))


def render(source: str, variables: Mapping[str, Any]) -> str:
    if "{" not in source:
        return source
    pieces: list[str] = []
    size = 0
    try:
        for piece in _compiled(source).generate(dict(variables)):
            size += len(piece)
            if size > MAX_OUTPUT:
                raise WordsError("says too much")
            pieces.append(piece)
    except TemplateError as error:
        raise WordsError(str(error)) from error
    return "".join(pieces)
