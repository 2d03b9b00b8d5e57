import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.serving.server.rest_fakes import outcome

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.rest.json.text import parse_object

INF = math.inf


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [NaN, -NaN]}', [math.nan, math.nan]),
        (b'{"a": [Inf, Infinity, -Inf, -Infinity]}', [INF, INF, -INF, -INF]),
        (b'{"a": [1, Inf]}', [1, INF]),
        (b'{"a": 1} trailing', 1),
        (b'{"a": 1}{"a": 2}', 1),
        (b' \r\n\t{"a": 1}', 1),
        (b'\xef\xbb\xbf{"a": 1}', 1),
        (b'{"a": 1e5}', 1e5),
        (b'{"a": 18446744073709551615}', 2**64 - 1),
        (b'{"a": 18446744073709551616}', 2.0**64),
        (b'{"a": "\xff\\u00e9"}', "\udcff\u00e9"),
        (b'{"a": "Inf, \\" -NaN", "b": Inf}', 'Inf, " -NaN'),
        (b'{"a": "\\ud83d\\ude00"} x', "\U0001f600"),
        (b'{"a": 1e-999} x', 0.0),
    ],
)
def test_value(body, value):
    found = parse_object(body)["a"]
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("body", "reason", "offset"),
    [
        (b"  ", "Expecting value", 2),
        (b"instances = [1]", "Expecting value", 0),
        (b'{"a": nul}', "Expecting value", 6),
        (b'{"a": -}', "Expecting value", 6),
        (b'{"a": Infi}', "Expecting ',' delimiter", 9),
        (b"[[1, 2]", "Expecting ',' delimiter", 7),
        (b'{"a": 1', "Expecting ',' delimiter", 7),
        (b'{"a": 01}', "Expecting ',' delimiter", 7),
        (b'{"a" 1}', "Expecting ':' delimiter", 5),
        (b"{a: 1}", "Expecting property name enclosed in double quotes", 1),
        (b'{"a', "Unterminated string starting", 1),
        (b'{"a": "\x00"}', "Invalid control character", 7),
        (b'{"a": "\\x"}', "Invalid \\escape", 7),
        (b'{"a": "\\ud800"}', "Half of a surrogate pair", 7),
        (b'{"a": "\\udc00"}', "Half of a surrogate pair", 7),
        (b'{"a": "\\udc00\\udc00"}', "Half of a surrogate pair", 7),
        (b'{"a": 1e999}', "Number too big to be stored in double", 6),
        (b'{"a": %b}' % (b"9" * 400), "Number too big to be stored in double", 6),
        (b'{"a": %b}' % (b"9" * 5000), "Number too big to be stored in double", 6),
        (b'{"a": ["1e999 \\"", -1e999]}', "Number too big to be stored in double", 19),
        # Offsets count bytes of what was sent, whatever stood before.
        ('{"é": x}'.encode(), "Expecting value", 7),
        (b'\xef\xbb\xbf{"a": x}', "Expecting value", 9),
        (b'{"\xff": x}', "Expecting value", 6),
        (b'{"a": [Inf, -Inf, -NaN], "b": x}', "Expecting value", 30),
        (b'{"a":' + b"[" * 200_000, "Nested too deep", 0),
    ],
)
def test_what_is_wrong_and_where(body, reason, offset):
    with pytest.raises(ServingError) as caught:
        parse_object(body)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == f"JSON Parse error: {reason} at offset: {offset}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"[1.5]", "JSON Value: [\n    1.5\n] Is not object"),
        (b"1.5", "JSON Value: 1.5 Is not object"),
        (b"NaN", "JSON Value: NaN Is not object"),
        (b"null", "JSON Value: null Is not object"),
        (b'"a"', 'JSON Value: "a" Is not object'),
    ],
)
def test_what_is_no_object(body, message):
    with pytest.raises(ServingError) as caught:
        parse_object(body)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == message


def test_names_at_most_256_bytes_of_a_document():
    with pytest.raises(ServingError) as caught:
        parse_object(json.dumps(["é" * 1000] * 1000).encode())
    text = caught.value.message
    shown = text.removeprefix("JSON Value: ").removesuffix(" Is not object")
    assert text.endswith(" Is not object")
    assert 250 <= len(shown.encode()) <= 256


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
)


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.binary(max_size=9))
def test_reads_what_was_written(value, behind):
    body = json.dumps(value).encode()
    assert repr(parse_object(body + b" " + behind)) == repr(json.loads(body))


WORDS = (
    '{ } [ ] , : " \\ \\u \\ud800 d834 "a" 1 -1 0 1.5 1e 1e9 1e999 . - NaN Inf -Inf '
    "Infinity true false null nul \x00 \x01 \xff é \ufeff"
)
PIECES = st.sampled_from(WORDS.split(" "))


def refused_or_read(body):
    value, error = outcome(parse_object, body)
    if error is None:
        assert isinstance(value, dict)
    else:
        assert error.code is Code.INVALID_ARGUMENT
        assert error.message.startswith("JSON ")


@given(st.lists(PIECES, max_size=30))
@example(['{"a":', "-NaN", "}"])
def test_survives_hostile_text(pieces):
    refused_or_read("".join(pieces).encode("utf-8"))
    refused_or_read("".join(pieces).encode("latin-1", "replace"))


@given(st.binary())
def test_survives_any_bytes(body):
    refused_or_read(body)
    refused_or_read(b'{"a": ' + body)


def test_a_string_without_end_takes_no_longer_than_it_is():
    with pytest.raises(ServingError, match=r"Unterminated string .* at offset: 16"):
        parse_object(b'{"a": Inf, "b": "' + b'\\"' * 200_000)
