"""Signed tokens (RFC 7519): the claims are `username`, `revision` of the auth store and `exp`, as etcd has them.

What is checked: the signature, with the one algorithm that is configured, whatever the token's header asks for; the
times; that the claims are what they should be. Nothing is kept, so a token lives as long as it says, but a request that
is about keys is refused once users or roles have changed since (its revision is old). A token that was checked once is
remembered until it expires: checking a signature costs as much as answering the request.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from trioetcd.api.errors import ApiError, Code
from trioetcd.config import StartRefused
from trioetcd.config.auth import JwtTokens
from trioetcd.storage.auth.access import AuthInfo

VERIFY_ONLY: Final = (Code.UNKNOWN, "auth: token signing attempted with verify-only key")
"""etcd has no code for it: it is on the wire as it stands here."""

_REMEMBERED_MAX: Final = 1024
_TOKEN_LETTERS_MAX: Final = 8192
_KEY_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "RS": (rsa.RSAPrivateKey, rsa.RSAPublicKey),
    "PS": (rsa.RSAPrivateKey, rsa.RSAPublicKey),
    "ES": (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey),
    "Ed": (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey, ed448.Ed448PrivateKey, ed448.Ed448PublicKey),
}


class _Checked(NamedTuple):
    info: AuthInfo
    expires_at: float


class SignedTokens:
    """Signs tokens, and checks signatures."""

    def __init__(
        self, config: JwtTokens, *, wall_seconds: Callable[[], float], read_file: Callable[[Path], bytes]
    ) -> None:
        self._name = config.sign_method
        self._ttl_seconds = config.ttl_seconds
        self._wall_seconds = wall_seconds
        self._jws = jwt.PyJWS(algorithms=[self._name])
        self._algorithm = self._jws.get_algorithm_by_name(self._name)
        self._private_key, self._public_key = _load_keys(config, self._algorithm, read_file)
        self._checked: dict[str, _Checked] = {}

    def find(self, token: str, revision: int) -> AuthInfo | None:  # noqa: ARG002 # the token says at which it was made
        """Whose a token is, and the revision that it was made at."""
        checked = self._checked.get(token)
        now = self._wall_seconds()
        if checked is None:
            checked = self._check(token, now)
            if checked is None:
                return None
            if len(self._checked) >= _REMEMBERED_MAX:
                del self._checked[next(iter(self._checked))]
            self._checked[token] = checked
        elif checked.expires_at <= now:
            del self._checked[token]
            return None
        return checked.info

    def _check(self, token: str, now: float) -> _Checked | None:
        if len(token) > _TOKEN_LETTERS_MAX:
            return None
        try:
            parts = self._jws.decode_complete(token, options={"verify_signature": False})  # which is done below
        except (ValueError, jwt.PyJWTError):
            return None
        header = parts["header"]
        if header.get("alg") != self._name or "crit" in header or "b64" in header:
            return None
        signed = token.rpartition(".")[0].encode()
        if not self._algorithm.verify(signed, self._public_key, parts["signature"]):
            return None
        return _read_claims(parts["payload"], now)

    def choose(self) -> str:
        """Nothing is kept."""
        return ""

    def issue(self, kept: str, username: str, revision: int) -> str:  # noqa: ARG002 # the protocol's
        """Sign a token; with a public key alone that is refused."""
        if self._private_key is None:
            raise ApiError(*VERIFY_ONLY)
        expires_at = int(self._wall_seconds() + self._ttl_seconds)
        header = orjson.dumps({"alg": self._name, "typ": "JWT"})
        claims = orjson.dumps({"exp": expires_at, "revision": revision, "username": username})
        signed = b".".join((_base64(header), _base64(claims)))
        signature = self._algorithm.sign(signed, self._private_key)
        return b".".join((signed, _base64(signature))).decode()

    def awaited_index(self, token: str) -> int:  # noqa: ARG002 # the protocol's
        """No entry tells of it."""
        return 0

    def keep(self, username: str, token: str) -> None:
        """Nothing is kept."""

    def drop_user(self, username: str) -> None:
        """Signed tokens live as long as they say; the user's permissions do not."""

    def drop_all(self) -> None:
        """Signed tokens live as long as they say, as in etcd."""


def _read_claims(payload: bytes, now: float) -> _Checked | None:
    """The claims that count. etcd releases have panicked on some that were missing (its issue 15676)."""
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(claims, dict):
        return None
    username, revision, expires_at = claims.get("username"), claims.get("revision"), claims.get("exp")
    if not isinstance(username, str) or not _is_number(revision) or not _is_number(expires_at):
        return None
    begins = [claims[name] for name in ("nbf", "iat") if name in claims]
    if expires_at <= now or any(not _is_number(begin) or begin > now for begin in begins):
        return None
    return _Checked(AuthInfo(username, int(revision)), expires_at)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _load_keys(
    config: JwtTokens, algorithm: jwt.algorithms.Algorithm, read_file: Callable[[Path], bytes]
) -> tuple[Any, Any]:
    """The key to sign with, None if there is none, and the one to check with. A private key is the public one too."""
    path = config.private_key or config.public_key
    assert path is not None, "a configuration without keys is refused before"
    try:
        data = read_file(path)
        if config.sign_method.startswith("HS"):
            return data, data
        if config.private_key is None:
            return None, _of_method(config, algorithm, load_pem_public_key(data))
        key = _of_method(config, algorithm, load_pem_private_key(data, password=None))
        return key, key.public_key()
    except OSError as error:
        raise StartRefused(f"--auth-token: {path} cannot be read: {error.strerror}; give it a key file") from error
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        what = "public" if config.private_key is None else "private"
        raise StartRefused(
            f"--auth-token: {path} is no {what} key for {config.sign_method} in PEM without a passphrase: {error}"
        ) from error


def _of_method(config: JwtTokens, algorithm: jwt.algorithms.Algorithm, key: Any) -> Any:
    """The key, if it is of the kind (and the curve) of the method."""
    if not isinstance(key, _KEY_TYPES[config.sign_method[:2]]):
        raise TypeError(f"it holds a {type(key).__name__}")
    return algorithm.prepare_key(key)
