"""Signed tokens: every method, and everything that a token must not get away with."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from trioetcd.api.errors import ApiError
from trioetcd.config import StartRefused
from trioetcd.config.auth import JwtTokens
from trioetcd.node.auth.jwt import VERIFY_ONLY, SignedTokens
from trioetcd.storage.auth.access import AuthInfo

NOW = 1_800_000_000.0
Claims = Mapping[str, Any]


def pem(key: Any) -> bytes:
    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return data


def public_pem(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data


RSA = rsa.generate_private_key(65537, 2048)
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
FILES = {
    "rsa": pem(RSA),
    "rsa.old": RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "rsa.pub": public_pem(RSA),
    "other": pem(rsa.generate_private_key(65537, 2048)),
    "p256": pem(P256),
    "p256.pub": public_pem(P256),
    "p384": pem(P384),
    "p521": pem(ec.generate_private_key(ec.SECP521R1())),
    "ed": pem(ed25519.Ed25519PrivateKey.generate()),
    "secret": b"not so long\n",
    "text": b"hello",
}


class Wall:
    now = NOW

    def __call__(self) -> float:
        return self.now


def read_file(path: Path) -> bytes:
    if str(path) not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[str(path)]


def signed(
    method: str, private: str | None, public: str | None = None, *, wall: Callable[[], float] | None = None
) -> SignedTokens:
    config = JwtTokens(method, Path(private) if private else None, Path(public) if public else None, 300.0)
    return SignedTokens(config, wall_seconds=wall or Wall(), read_file=read_file)


def token(claims: Claims, *, key: str = "rsa", method: str = "RS256", headers: dict[str, Any] | None = None) -> str:
    return jwt.PyJWS().encode(orjson.dumps(claims), FILES[key], method, headers=headers)


GOOD: Claims = {"username": "alice", "revision": 7, "exp": NOW + 10}


@pytest.mark.parametrize(
    ("method", "key"),
    [
        *((f"{kind}{bits}", "rsa") for kind in ("RS", "PS") for bits in (256, 384, 512)),
        *(("RS256", "rsa.old"), ("ES256", "p256"), ("ES384", "p384"), ("ES512", "p521"), ("EdDSA", "ed")),
        *((f"HS{bits}", "secret") for bits in (256, 384, 512)),
    ],
)
def test_what_is_signed_is_known_again(method: str, key: str) -> None:
    made = signed(method, key).issue("", "alice", 7)
    assert signed(method, key).find(made, 99) == AuthInfo("alice", 7)
    header, claims = (urlsafe_b64decode(part + "==") for part in made.split(".")[:2])
    assert header == b'{"alg":"%s","typ":"JWT"}' % method.encode()
    assert claims == b'{"exp":1800000300,"revision":7,"username":"alice"}', "as etcd writes it"


def test_another_library_reads_it() -> None:
    made = signed("RS256", "rsa").issue("", "alice", 7)
    assert jwt.decode(made, RSA.public_key(), ["RS256"])["username"] == "alice"


def test_it_lives_as_long_as_it_says_also_when_it_is_remembered() -> None:
    wall = Wall()
    tokens = signed("RS256", "rsa", wall=wall)
    made = tokens.issue("", "alice", 7)
    for wall.now in (NOW, NOW + 299):
        assert tokens.find(made, 1) is not None
    wall.now = NOW + 300
    assert tokens.find(made, 1) is None
    assert tokens.find(made, 1) is None


def test_what_is_remembered_is_bounded() -> None:
    tokens = signed("HS256", "secret")
    for number in range(1200):
        assert tokens.find(tokens.issue("", f"user{number}", 1), 1) is not None
    assert len(tokens._checked) == 1024  # how much it remembers cannot be seen from outside


def test_a_public_key_checks_and_does_not_sign() -> None:
    tokens = signed("RS256", None, "rsa.pub")
    assert tokens.find(signed("RS256", "rsa").issue("", "alice", 7), 1) == AuthInfo("alice", 7)
    with pytest.raises(ApiError) as refused:
        tokens.issue("", "alice", 7)
    assert refused.value == ApiError(*VERIFY_ONLY)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"revision": 7, "exp": NOW + 10},
        {"username": "alice", "exp": NOW + 10},
        {"username": "alice", "revision": 7},
        {**GOOD, "username": 5},
        {**GOOD, "username": None},
        {**GOOD, "revision": "7"},
        {**GOOD, "revision": True},
        {**GOOD, "exp": str(NOW + 10)},
        {**GOOD, "exp": NOW},
        {**GOOD, "nbf": NOW + 5},
        {**GOOD, "iat": NOW + 5},
        {**GOOD, "nbf": "soon"},
    ],
)
def test_claims_that_do_not_count(claims: Claims) -> None:
    assert signed("RS256", "rsa").find(token(claims), 1) is None


def test_claims_that_count() -> None:
    tokens = signed("RS256", "rsa")
    assert tokens.find(token(GOOD), 1) == AuthInfo("alice", 7)
    assert tokens.find(token({**GOOD, "nbf": NOW, "iat": NOW - 1, "aud": "x", "more": [1]}), 1) == AuthInfo("alice", 7)


def _with_header(**header: object) -> str:
    """A token whose header was changed after it was signed."""
    _, claims, signature = token(GOOD).split(".")
    return ".".join((urlsafe_b64encode(orjson.dumps(header)).rstrip(b"=").decode(), claims, signature))


@pytest.mark.parametrize(
    "made",
    [
        "",
        "a",
        "a.1",
        "a.b.c",
        "..",
        "é.é.é",
        "x" * 100_000,
        _with_header(alg="none"),
        _with_header(alg="HS256"),
        _with_header(alg="PS256"),
        _with_header(),
        _with_header(alg=["RS256"]),
        token(GOOD, key="other"),
        token(GOOD, method="PS256"),
        token(GOOD, method="RS384"),
        token(GOOD, headers={"crit": ["x"], "x": 1}),
        token(GOOD)[:-6] + "AAAAAA",
        token(GOOD).rsplit(".", 1)[0] + ".",
        jwt.PyJWS().encode(b"[]", FILES["rsa"], "RS256"),
        jwt.PyJWS().encode(b"{", FILES["rsa"], "RS256"),
        jwt.PyJWS().encode(orjson.dumps(GOOD), None, "none"),
    ],
)
def test_what_is_no_token_of_ours(made: str) -> None:
    assert signed("RS256", "rsa").find(made, 1) is None


def test_a_public_key_is_not_taken_for_a_shared_secret() -> None:
    """The classic confusion: signed with HMAC, the secret being the public key that everybody has."""
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    parts = [orjson.dumps({"alg": "HS256", "typ": "JWT"}), orjson.dumps(GOOD)]
    body = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    made = b".".join((body, urlsafe_b64encode(algorithm.sign(body, FILES["rsa.pub"])).rstrip(b"="))).decode()
    assert signed("RS256", None, "rsa.pub").find(made, 1) is None
    assert signed("RS256", "rsa").find(made, 1) is None


@pytest.mark.parametrize(
    ("method", "private", "public", "reason"),
    [
        ("RS256", "nowhere", None, "nowhere cannot be read: No such file"),
        ("RS256", "text", None, "text is no private key for RS256"),
        ("RS256", "rsa.pub", None, "rsa.pub is no private key for RS256"),
        ("RS256", "p256", None, "p256 is no private key for RS256"),
        ("ES256", "rsa", None, "rsa is no private key for ES256"),
        ("ES384", "p256", None, "p256 is no private key for ES384"),
        ("ES384", None, "p256.pub", "p256.pub is no public key for ES384"),
        ("EdDSA", "p256", None, "p256 is no private key for EdDSA"),
        ("PS256", None, "rsa", "rsa is no public key for PS256"),
    ],
)
def test_keys_that_are_no_use_refuse_the_start(method: str, private: str, public: str, reason: str) -> None:
    with pytest.raises(StartRefused, match=reason):
        signed(method, private, public)
