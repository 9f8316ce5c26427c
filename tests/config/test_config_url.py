from __future__ import annotations

import pytest

from trioetcd.config import ConfigError, Url, parse_url, parse_urls, same_urls
from trioetcd.config.errors import NotServedError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:2379", Url("http", "localhost", 2379)),
        ("http://127.0.0.1:0", Url("http", "127.0.0.1", 0)),
        (" http://[::1]:2380 ", Url("http", "::1", 2380)),
        ("http://etcd-0.etcd:2380", Url("http", "etcd-0.etcd", 2380)),
        ("http://:2379", Url("http", "", 2379)),
    ],
)
def test_a_url_is_scheme_host_and_port(text: str, url: Url) -> None:
    assert parse_url(text) == url
    assert str(url) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "foo",
        "ftp://h:1",
        "http://h",
        "http://h:x",
        "http://h:70000",
        "http://h:1/path",
        "http://h:1/",
        "http://h:1?q",
        "http://u@h:1",
        "http://[::1:1",
        "http://",
        "127.0.0.1:2379",
    ],
)
def test_what_is_not_one_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_url(text)
    assert repr(text) in str(refusal.value)
    assert not isinstance(refusal.value, NotServedError)


@pytest.mark.parametrize("text", ["https://localhost:2379", "unix://localhost:1", "unixs://localhost:1"])
def test_schemes_that_etcd_has_and_this_version_does_not_are_refused_by_name(text: str) -> None:
    with pytest.raises(NotServedError, match=text.partition(":")[0]):
        parse_url(text)


def test_a_list_keeps_its_order_and_is_never_empty() -> None:
    assert [url.port for url in parse_urls("http://a:3,http://a:1,http://b:2")] == [3, 1, 2]
    with pytest.raises(ConfigError, match="empty"):
        parse_urls(" , ")


def test_same_urls_knows_localhost_and_ignores_order_and_case() -> None:
    left = parse_urls("http://localhost:1,http://HOST:2")
    assert same_urls(left, parse_urls("http://host:2,http://127.0.0.1:1"))
    assert not same_urls(left, parse_urls("http://host:2"))
    assert not same_urls(left, parse_urls("http://host:2,http://127.0.0.2:1"))


def test_what_a_listener_takes() -> None:
    takes = {url: parse_url(url).is_bindable for url in ("http://localhost:1", "http://0.0.0.0:1", "http://[::]:1")}
    assert all(takes.values())
    assert not parse_url("http://example.com:1").is_bindable
    assert not parse_url("http://:1").is_bindable
    assert parse_url("http://0.0.0.0:1").is_unspecified
    assert not parse_url("http://127.0.0.1:1").is_unspecified
