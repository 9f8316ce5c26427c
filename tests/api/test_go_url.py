"""Peer URLs as a real etcd 3.5.1 stored them, or refused them."""

from __future__ import annotations

import pytest

from trioetcd.api.go_url import BadPeerUrls, normalise_peer_url, normalise_peer_urls

TAKEN = {
    "HTTP://Host:1": "http://Host:1",
    " http://h:1 ": "http://h:1",
    "http://h:": "http://h:",
    "http://:80": "http://:80",
    "http://h:80?x=1": "http://h:80?x=1",
    "http://h:80?": "http://h:80?",
    "http://h:1??": "http://h:1??",
    "http://h:1?a b": "http://h:1?a b",
    "http://h:80#f": "http://h:80#f",
    "http://h:80#": "http://h:80",
    "http://h:1#a b": "http://h:1#a%20b",
    "http://h:1#%41": "http://h:1#%41",
    "http://u:p@h:80": "http://u:p@h:80",
    "http://u%41:p%3A@h:1": "http://uA:p%3A@h:1",
    "http://@h:1": "http://@h:1",
    "http://a@b@c:1": "http://a%40b@c:1",
    "unix://a:1": "unix://a:1",
    "https://h:80": "https://h:80",
    "http://[::1]:80": "http://[::1]:80",
    "http://[::1%25lo]:80": "http://[::1%25lo]:80",
    "http://[::1%25%41]:1": "http://[::1%25A]:1",
    "http://[::1%25a%20b]:1": "http://[::1%25a%20b]:1",
    "http://h:99999": "http://h:99999",
    "http://h\u00e9:80": "http://h%C3%A9:80",
    "http://h%c3%a9:80": "http://h%C3%A9:80",
    "http://%25:1": "http://%25:1",
    'http://h<>":1': 'http://h<>":1',
}

REFUSED = (
    *("", "http://", "http://h", "http:h:80", "//h:80", "://h:1", "1http://h:1", "ftp://h:1", "http+unix://h:1"),
    *("http://h:80/", "http://h/:80", "http:///h:1", "unix:///tmp/x:1", "unix://a", "unixs://a"),
    *("http://h:abc", "http://h:-1", "http://h:1:2", "http://::1:80", "http://h:80;x", "http://h:\u0661"),
    *("http://a b:80", "http://h%41:80", "http://%zz:80", "http://h|:1", "http://h\\:1", "http://h\t:1", "http://h{}:1"),
    *("http://[::1]", "http://[::1]x:1", "http://[fe80::1%lo]:80", "http://[::1%25a b]:1", "http://[::1%25%c3]:1"),
    *("http://a[b:1", "http://a]b:1", "http://[[a]:1", "http://u%zz@h:1", "http://h:1#%zz"),
)  # fmt: skip


@pytest.mark.parametrize("url", TAKEN)
def test_a_url_is_written_as_etcd_writes_it(url: str) -> None:
    assert normalise_peer_url(url) == TAKEN[url]
    assert normalise_peer_url(TAKEN[url]) == TAKEN[url]


@pytest.mark.parametrize("url", REFUSED)
def test_what_etcd_refuses_is_refused(url: str) -> None:
    with pytest.raises(BadPeerUrls):
        normalise_peer_url(url)


def test_urls_are_sorted_and_there_is_one() -> None:
    assert normalise_peer_urls(["http://b:2", "http://a:1", "http://a:1"]) == ("http://a:1", "http://a:1", "http://b:2")
    with pytest.raises(BadPeerUrls, match="no peer URL was given"):
        normalise_peer_urls([])
