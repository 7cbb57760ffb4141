"""Words with holes: sandboxed Jinja2 without clock, randomness or attributes, bounded in output."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_OUTPUT = 2_000
MAX_TEMPLATE = 4_000
_FILTERS = frozenset(
    {"default", "lower", "upper", "trim", "title", "capitalize", "length", "int", "string", "first"}
)
_NODES = (
    *(
        nodes.Template,
        nodes.Output,
        nodes.TemplateData,
        nodes.Name,
        nodes.Const,
        nodes.Getattr,
        nodes.Getitem,
    ),
    *(nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or),
    *(nodes.Not, nodes.Concat, nodes.Add, nodes.Sub, nodes.Keyword),
)
"""no loops, macros, imports, powers or products: what is left takes steps in proportion to its length"""


class WordsError(ValueError):
    """A template that does not parse, asks for more than words need, misses a variable, or says too much."""


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, optimized=False)
    environment.globals.clear()
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=1024)
def _compiled(source: str) -> Any:
    if len(source) > MAX_TEMPLATE:
        raise WordsError("template too long")
    try:
        tree = _ENVIRONMENT.parse(source)
        _refuse(tree)
        return _ENVIRONMENT.from_string(tree)
    except WordsError:
        raise
    except Exception as error:
        raise WordsError(str(error)) from error


def _refuse(tree: nodes.Node) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _NODES):
            raise WordsError(f"{type(node).__name__.lower()} is not for words")
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            raise WordsError(f"no filter {node.name!r}; there are {', '.join(sorted(_FILTERS))}")


def check(source: str) -> set[str]:
    """Names that the template wants. Raises WordsError where it does not parse or asks for too much."""
    _compiled(source)
    return meta.find_undeclared_variables(_ENVIRONMENT.parse(source))


def render(source: str, variables: Mapping[str, Any]) -> str:
    """The words. Raises WordsError, whatever goes wrong inside."""
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
    except WordsError:
        raise
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise WordsError(str(error)) from error
    return "".join(pieces)
