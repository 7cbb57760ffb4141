"""Words with holes: what they may say, and that they cannot do anything else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_flows.templates import MAX_OUTPUT, MAX_TEMPLATE, WordsError, check, render

VARIABLES = {"number": "95519", "customer": {"known": "yes", "klass": "vip"}, "empty": {}, "count": 3}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("您好", "您好"),
        ("", ""),
        ("{{ number }}", "95519"),
        ("{{ customer.klass | default('standard') }}", "vip"),
        ("{{ empty.klass | default('standard') }}", "standard"),
        ("{{ nothing | default('-') }}", "-"),
        ("{% if customer.known == 'yes' %}again{% else %}new{% endif %}", "again"),
        ("{{ number | upper }}{{ count }}", "955193"),
        ("<b>&", "<b>&"),
    ],
)
def test_what_words_may_say(source: str, said: str) -> None:
    check(source)
    assert render(source, VARIABLES) == said


def test_check_names_the_variables_a_template_wants() -> None:
    assert check("{{ a }}{{ b.c | default('x') }}{% if d %}{{ e ~ a }}{% endif %}") == {"a", "b", "d", "e"}
    assert check("plain") == set()


@pytest.mark.parametrize(
    "source", ["{{ nothing }}", "{{ empty.klass }}", "{{ nothing.at.all }}", "{{ number.upper.x }}"]
)
def test_a_variable_that_is_missing(source: str) -> None:
    with pytest.raises(WordsError):
        render(source, VARIABLES)


@pytest.mark.parametrize(
    "source", ["{{", "{{ }}", "{% if %}", "{% for x in %}", "{{ a | nofilter }}", "{% nonsense %}"]
)
def test_what_does_not_parse(source: str) -> None:
    with pytest.raises(WordsError):
        check(source)
    with pytest.raises(WordsError):
        render(source, VARIABLES)


@pytest.mark.parametrize(
    "source",
    [
        "{{ number.__class__ }}",
        "{{ number.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ number | attr('__class__') }}",
        "{{ number['__class__'] }}",
        "{{ '{0.__class__}'.format(number) }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(customer) }}",
        "{{ number.format.__self__ }}",
        "{{ customer.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ joiner }}",
        "{{ namespace() }}",
        "{{ range(3) | list }}",
        "{{ dict(a=1) }}",
        "{{ request }}",
        "{{ [1, 2] | random }}",
        "{{ customer.pop('known') }}",
        "{{ customer.update({'known': 'no'}) }}",
        "{% set x = customer.clear() %}",
        "{% include 'hotline.yaml' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
    ],
)
def test_words_reach_nothing_beyond_their_variables(source: str) -> None:
    with pytest.raises(WordsError):
        render(source, VARIABLES)
    assert VARIABLES["customer"] == {"known": "yes", "klass": "vip"}


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / 0 }}",
        "{{ number + 1 }}",
        "{{ count + number }}",
        "{% for x in count %}{% endfor %}",
        "{{ '%d' | format('x') }}",
        "{{ number[1:2:0] }}",
        "{{ 'x'.encode('nope') }}",
        "{{ number.index('7') }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ customer | sort(attribute='a.b') }}",
        "{{ count | length }}",
    ],
)
def test_a_mistake_in_a_template_is_a_words_error(source: str) -> None:
    """The interpreter turns it into a FlowError, and the caller gets to a person."""
    with pytest.raises(WordsError):
        render(source, VARIABLES)


@pytest.mark.parametrize(
    "source",
    ["{{ 'x' * 3000 }}", "{% for c in number * 500 %}{{ c }}{% endfor %}", "{{ number | center(5000) }}"],
)
def test_words_that_say_too_much(source: str) -> None:
    with pytest.raises(WordsError):
        render(source, VARIABLES)


def test_the_longest_that_may_be_said() -> None:
    assert len(render("{{ text }}", {"text": "x" * MAX_OUTPUT})) == MAX_OUTPUT
    with pytest.raises(WordsError):
        render("{{ text }}", {"text": "x" * (MAX_OUTPUT + 1)})
    with pytest.raises(WordsError):
        check("{{ a }}" * MAX_TEMPLATE)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ('x' * 3000000) | length }}",
        "{{ ((number * 100000) * 10) | length }}",
        "{{ (2 ** 200000) > 1 }}",
        "{% set a = '0123456789' %}"
        + "".join(f"{{% for x{n} in a %}}" for n in range(6))
        + "{% endfor %}" * 6,
        "{{ ('%3000000d' % 1) | length }}",
        "{{ (number | center(3000000)) | length }}",
        "{{ (number.ljust(3000000)) | length }}",
        "{{ ([1] | batch(3000000, 'x') | first) | length }}",
    ],
)
def test_steps_and_memory_are_limited_too(source: str) -> None:
    """Each of these is harmless at this size and fatal at a thousand times of it."""
    started = time.perf_counter()
    with pytest.raises(WordsError):
        check(source)
        render(source, VARIABLES)
    assert time.perf_counter() - started < 1.0


@given(st.text(alphabet="{}%|#.'\" abcnumber095_()[]+*/-~", max_size=40))
def test_no_source_does_anything_but_speak_or_be_refused(source: str) -> None:
    if "**" in source or "*" in source:
        return
    try:
        said = render(source, VARIABLES)
    except WordsError:
        return
    assert isinstance(said, str)
    assert len(said) <= max(MAX_OUTPUT, len(source))


@given(st.dictionaries(st.sampled_from(["number", "name"]), st.text(max_size=50), min_size=2))
def test_what_callers_and_records_say_is_never_a_template(variables: dict[str, str]) -> None:
    variables["name"] += "{{ number.__class__ }}{% for x in y %}"
    assert render("{{ name }}", variables) == variables["name"]


def test_the_same_words_the_same_way_each_time() -> None:
    source = "{{ customer.klass }} {{ number }} {{ customer }}"
    assert len({render(source, VARIABLES) for _ in range(50)}) == 1
