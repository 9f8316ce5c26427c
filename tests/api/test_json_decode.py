"""The rules of decoding, each by an example; the compiled path and the exact one must agree everywhere."""

from __future__ import annotations

import pytest

from trioetcd.api import json_codec, json_exact
from trioetcd.api import messages as m


@pytest.mark.parametrize(
    "body", [b"", b" \r\n\t", b"null", b"null x", b"{}", b"{} trailing", b"{}{", b'{"unknown":{"key":[1]}}']
)
def test_nothing_null_and_unknown_members_are_the_empty_message(body: bytes) -> None:
    assert json_codec.decode(m.RangeRequest, body) == m.RangeRequest()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"key":"Zm9v"}', m.RangeRequest(key=b"foo")),
        (b'{"key":"Zm9v"}{"key":"YmFy"}', m.RangeRequest(key=b"foo")),
        (b'{"key":"YmFy","key":"Zm9v"}', m.RangeRequest(key=b"foo")),
        (b'{"key":"Zm\\n9v\\r\\n"}', m.RangeRequest(key=b"foo")),
        (b'{"key":"\\u005am9v"}', m.RangeRequest(key=b"foo")),
        (b'{"key":"Zh=="}', m.RangeRequest(key=b"f")),
        (b'{"key":[102,null]}', m.RangeRequest(key=b"f\0")),
        (b'{"key":null,"limit":null}', m.RangeRequest()),
        (b'{"range_end":"YQ==","rangeEnd":"Yg=="}', m.RangeRequest(range_end=b"b")),
        (b'{"rangeEnd":"Yg==","range_end":"YQ=="}', m.RangeRequest(range_end=b"b")),
        (b'{"rangeEnd":null,"range_end":"YQ=="}', m.RangeRequest()),
        (b'{"RANGE_END":"YQ=="}', m.RangeRequest()),
        (b'{"limit":5}', m.RangeRequest(limit=5)),
        (b'{"limit":"-5"}', m.RangeRequest(limit=-5)),
        (b'{"limit":" 5 "}', m.RangeRequest(limit=5)),
        (b'{"limit":"null"}', m.RangeRequest()),
        (b'{"limit":-0}', m.RangeRequest()),
        (b'{"limit":"9223372036854775807"}', m.RangeRequest(limit=(1 << 63) - 1)),
        (b'{"sort_order":"DESCEND","sortTarget":"VALUE"}', m.RangeRequest(sort_order=2, sort_target=4)),
        (b'{"sort_order":7}', m.RangeRequest(sort_order=7)),
        (b'{"sort_order":null}', m.RangeRequest()),
        (b'{"serializable":true,"keysOnly":false}', m.RangeRequest(serializable=True)),
    ],
)
def test_what_is_accepted(body: bytes, expected: m.RangeRequest) -> None:
    assert json_codec.decode(m.RangeRequest, body) == expected
    assert json_exact.decode(m.RangeRequest, body) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
        (b'"x"', "json: cannot unmarshal string into Go value of type map[string]json.RawMessage"),
        (b"5x", "json: cannot unmarshal number into Go value of type map[string]json.RawMessage"),
        (b"true", "json: cannot unmarshal bool into Go value of type map[string]json.RawMessage"),
        (b'{"key":', "unexpected EOF"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b"key=Zm9v", "invalid character 'k' looking for beginning of value"),
        (b'{"key"}', "invalid character '}' after object key"),
        (b'{"key":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"key":1 "a"', "invalid character '\"' after object key:value pair"),
        (b"['", "invalid character '\\'' looking for beginning of value"),
        (b'"\n"', "invalid character '\\n' in string literal"),
        (b"\xef\xbb\xbf{}", "invalid character '\u00ef' looking for beginning of value"),
        (b"[" * 10_001, "invalid character '[' exceeded max depth"),
        (b'{"key":5}', "json: cannot unmarshal number into Go value of type []uint8"),
        (b'{"key":[256]}', "json: cannot unmarshal number 256 into Go value of type uint8"),
        (b'{"key":"foo!"}', "illegal base64 data at input byte 3"),
        (b'{"key":"Zm8"}', "illegal base64 data at input byte 0"),
        (b'{"key":"-_8="}', "illegal base64 data at input byte 0"),
        (b'{"key":"Zg==Zg=="}', "illegal base64 data at input byte 4"),
        (b'{"limit":2.0}', "json: cannot unmarshal number 2.0 into Go value of type int64"),
        (b'{"limit":"2e0"}', "json: cannot unmarshal number 2e0 into Go value of type int64"),
        (b'{"limit":1e30}', "json: cannot unmarshal number 1e30 into Go value of type int64"),
        (b'{"limit":"05"}', "invalid character '5' after top-level value"),
        (b'{"limit":"1_0"}', "invalid character '_' after top-level value"),
        (b'{"limit":""}', "unexpected end of JSON input"),
        (b'{"limit":"-"}', "invalid character ' ' in numeric literal"),
        (b'{"limit":"\\u0035"}', "invalid character '\\\\' looking for beginning of value"),
        (b'{"limit":true}', "json: cannot unmarshal bool into Go value of type int64"),
        (b'{"serializable":"true"}', "json: cannot unmarshal string into Go value of type bool"),
        (b'{"serializable":1}', "json: cannot unmarshal number into Go value of type bool"),
        (b'{"sort_order":"2"}', 'unknown value "\\"2\\"" for enum etcdserverpb.RangeRequest.SortOrder'),
        (b'{"sort_order":"descend"}', 'unknown value "\\"descend\\"" for enum etcdserverpb.RangeRequest.SortOrder'),
        (b'{"sort_order":"\\n"}', 'unknown value "\\"\\\\n\\"" for enum etcdserverpb.RangeRequest.SortOrder'),
        (b'{"sort_order":1e9}', "json: cannot unmarshal number 1e9 into Go value of type protoreflect.EnumNumber"),
        (b'{"serializable":1,"limit":"x"}', "invalid character 'x' looking for beginning of value"),
    ],
)
def test_what_is_refused_and_how(body: bytes, message: str) -> None:
    with pytest.raises(json_codec.JsonError) as refusal:
        json_codec.decode(m.RangeRequest, body)
    assert refusal.value.message == message


def test_minus_zero_is_no_unsigned_number() -> None:
    with pytest.raises(json_codec.JsonError, match="number -0 into Go value of type uint64"):
        json_codec.decode(m.AlarmRequest, b'{"memberID":-0}')
    assert json_codec.decode(m.AlarmRequest, b'{"memberID":0}') == m.AlarmRequest()


def test_of_a_oneof_the_member_declared_last_wins() -> None:
    operation = json_codec.decode(m.RequestOp, b'{"request_put":{"key":"YQ=="},"request_range":{"key":"Yg=="}}')
    assert operation == m.RequestOp(request_put=m.PutRequest(key=b"a"))
    compare = json_codec.decode(m.Compare, b'{"lease":"0","value":"","version":1}')
    assert compare == m.Compare(lease=0)


def test_null_in_a_list_is_an_empty_element() -> None:
    assert json_codec.decode(m.TxnRequest, b'{"success":[null,{}]}') == m.TxnRequest(
        success=[m.RequestOp(), m.RequestOp()]
    )
    assert json_codec.decode(m.WatchCreateRequest, b'{"filters":[null,"NODELETE"]}').filters == [0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\\ud83d\\ude00", "\U0001f600"),
        (b"\\ud83d", "\ufffd"),
        (b"\\ude00\\ud83d", "\ufffd\ufffd"),
        (b"\\ud83dx", "\ufffdx"),
        (b"a\xff\xe2\x82b", "a\ufffd\ufffd\ufffdb"),
        (b'\\b\\f\\n\\r\\t\\/\\\\\\"', '\b\f\n\r\t/\\"'),
    ],
)
def test_text_that_is_not_unicode_is_replaced(text: bytes, expected: str) -> None:
    assert json_codec.decode(m.AuthRoleAddRequest, b'{"name":"%b"}' % text) == m.AuthRoleAddRequest(name=expected)


def _nested_transaction(depth: int) -> bytes:
    return b'{"success":[{"request_txn":' * depth + b"{}" + b"}]}" * depth


def test_messages_nest_to_a_limit_on_both_paths() -> None:
    assert json_codec.decode(m.TxnRequest, _nested_transaction(50)) == json_exact.decode(
        m.TxnRequest, _nested_transaction(50)
    )
    for depth in (51, 300, 3_000):
        with pytest.raises(json_codec.JsonError, match="maximum nesting depth of 100"):
            json_codec.decode(m.TxnRequest, _nested_transaction(depth))


@pytest.mark.parametrize(
    "body", [b"", b"null", b"7", b'{"ID":"7"}{}', b'{"ID":"7"} x', b'{"ID":7', b'{"ID":"\\u0037"}']
)
def test_what_is_not_surely_one_message_is_left_to_a_closer_look(body: bytes) -> None:
    assert json_codec.decode_single(m.LeaseKeepAliveRequest, body) is None


@pytest.mark.parametrize("body", [b'{"ID":"7"}', b'\n {"ID": 7}\r\n'])
def test_a_single_message_is_what_the_text_holds(body: bytes) -> None:
    assert json_codec.decode_single(m.LeaseKeepAliveRequest, body) == m.LeaseKeepAliveRequest(ID=7)
