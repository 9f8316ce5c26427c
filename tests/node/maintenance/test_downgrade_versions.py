"""Versions as a downgrade takes them."""

from __future__ import annotations

import pytest

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.maintenance.downgrade import parse_minor


@pytest.mark.parametrize("text", ["3.4.0", "3.4", "3.4.7", "3.4.0-rc.1", "3.4.0+x", "3.4.0-", "03.04.00", "3.4.0-a+b"])
def test_versions(text: str) -> None:
    assert parse_minor(text) == (3, 4)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "3", "v3.4.0", "3.4-rc", "3.4.0.1", " 3.4.0", "3.4.x", "+3.4.0", "3.-4.0", "3.4.0-a_b", f"{2**64}.4.0"],
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_minor(text)
    assert refused.value == ApiError.of(ErrorKind.WRONG_DOWNGRADE_VERSION_FORMAT)
