"""Sequences of values in pieces."""

from __future__ import annotations

import pytest

from trioetcd.api import json_codec
from trioetcd.api import messages as m

CREATE = m.WatchRequest(create_request=m.WatchCreateRequest(key=b"foo"))
CANCEL = m.WatchRequest(cancel_request=m.WatchCancelRequest(watch_id=1))
BOTH = b' {"create_request":{"key":"Zm9v","x":"}\\"{"}}{"cancel_request":{"watch_id":"1"}}\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 30, 1000])
def test_values_may_be_cut_anywhere(size: int) -> None:
    decoder = json_codec.decode_stream(m.WatchRequest)
    pieces = [BOTH[start : start + size] for start in range(0, len(BOTH), size)]
    assert [message for piece in pieces for message in decoder.feed(piece)] == [CREATE, CANCEL]
    assert decoder.finish() == []


def test_a_value_is_handed_out_as_soon_as_it_ends() -> None:
    decoder = json_codec.decode_stream(m.WatchRequest)
    assert decoder.feed(b'{"progress_request":{}}') == [m.WatchRequest(progress_request=m.WatchProgressRequest())]
    assert decoder.feed(b"null") == [m.WatchRequest()]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"{bad", "invalid character 'b' looking for beginning of object key string"),
        (b'{"cancel_request":{"watch_id":"x"}}', "invalid character 'x' looking for beginning of value"),
        (b"[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
    ],
)
def test_a_bad_value_ends_the_sequence_after_what_came_before_it(bad: bytes, message: str) -> None:
    decoder = json_codec.decode_stream(m.WatchRequest)
    assert decoder.feed(b'{"create_request":{"key":"Zm9v"}}' + bad) == [CREATE]
    assert decoder.error is not None
    for _ in range(2):
        with pytest.raises(json_codec.JsonError) as refusal:
            decoder.feed(b"{}")
        assert refusal.value.message == message


def test_a_bad_first_value_is_raised_at_once() -> None:
    with pytest.raises(json_codec.JsonError, match="invalid character 'x'"):
        json_codec.decode_stream(m.WatchRequest).feed(b"x")


def test_the_end_inside_a_value_is_an_error() -> None:
    decoder = json_codec.decode_stream(m.WatchRequest)
    assert decoder.feed(b'{"create_request"') == []
    with pytest.raises(json_codec.JsonError, match="unexpected EOF"):
        decoder.finish()


def test_an_endless_value_is_refused() -> None:
    decoder = json_codec.StreamDecoder(m.WatchRequest, value_size_max=1000)
    assert decoder.feed(b'{"x":"' + b"y" * 900) == []
    with pytest.raises(json_codec.JsonError, match="larger than 1000 bytes"):
        decoder.feed(b"y" * 200)
