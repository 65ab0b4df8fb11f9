"""Where an API server is and how to be let in: from a kubeconfig, or as a Pod of its cluster.

What is not understood is refused and never left out: who asks with `as` for fewer rights must not get more.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_UNSUPPORTED_OF_USERS: Final = {
    "exec": "a plug-in that fetches credentials",
    "auth-provider": "an authentication provider",
    "username": "a password",
    "as": "impersonation",
    "as-uid": "impersonation",
    "as-groups": "impersonation",
    "as-user-extra": "impersonation",
}
_UNSUPPORTED_OF_CLUSTERS: Final = {
    "insecure-skip-tls-verify": "a server whose certificate is not checked",
    "proxy-url": "a proxy",
}


class AccessError(Exception):
    """There is no way to the API server; the text is one line and says which file."""


class Token(Protocol):
    def __call__(self) -> str:
        """The bearer token as it is now; empty for none."""


@dataclass(frozen=True, slots=True)
class FixedToken:
    text: str = ""

    def __call__(self) -> str:
        return self.text


class FileToken:
    """Read again when the file has changed: a service account's token lives for an hour and is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def __call__(self) -> str:
        """What was read last, if the file cannot be read in this moment: it may be being replaced."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._text = self._path.read_text().strip()
                self._seen = seen
        except OSError as error:
            if self._seen is None:
                raise AccessError(f"cannot read {self._path}: {error.strerror}") from None
        return self._text


@dataclass(frozen=True, slots=True)
class Access:
    """One API server, and one identity there."""

    url: str
    ca_pem: bytes = b""
    """The machine's own authorities if empty."""
    server_name: str = ""
    """Name that its certificate must carry; the URL's host if empty."""
    token: Token = field(default_factory=FixedToken)
    client_certificate: Path | None = None
    client_key: Path | None = None
    client_pem: bytes = b""
    """Certificate and key in one, if they came as text and not as files."""
    namespace: str = ""
    """The one that this identity belongs to, if it says."""


def entries(text: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(cluster, user, context) of a kubeconfig's current context. `ValueError` if it is no kubeconfig."""
    from podward.api.yaml_loader import load_one

    try:
        config: Any = load_one(text)
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config.get("users") or (), context["user"])["user"] or {}
        return dict(cluster), dict(user), dict(context)
    except (KeyError, TypeError, AttributeError, StopIteration):
        raise ValueError("it is not a kubeconfig with a current context") from None


def _named(rows: Any, name: str) -> Any:
    return next(row for row in rows if row["name"] == name)


def from_kubeconfig(path: Path) -> Access:
    """Raises `AccessError`. Paths in it are relative to its own folder."""
    try:
        cluster, user, context = entries(path.read_text())
        return _access(cluster, user, context, path.parent)
    except OSError as error:
        raise AccessError(f"cannot read {error.filename or path}: {error.strerror}") from None
    except ValueError as error:
        raise AccessError(f"cannot use {path}: {error}") from None


def in_cluster(
    environment: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT
) -> Access | None:
    """What Kubernetes gives to a Pod; None if this is none. Raises `AccessError`."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        return None
    token = FileToken(folder / "token")
    token()
    try:
        authority = (folder / "ca.crt").read_bytes()
    except OSError as error:
        raise AccessError(f"cannot read {folder / 'ca.crt'}: {error.strerror}") from None
    try:
        namespace = (folder / "namespace").read_text().strip()
    except OSError:
        namespace = ""
    shown = f"[{host}]" if ":" in host else host
    return Access(f"https://{shown}:{port}", authority, token=token, namespace=namespace)


def _access(
    cluster: dict[str, Any], user: dict[str, Any], context: dict[str, Any], folder: Path
) -> Access:
    _refuse(cluster, _UNSUPPORTED_OF_CLUSTERS, "cluster")
    _refuse(user, _UNSUPPORTED_OF_USERS, "user")
    url = str(cluster.get("server") or "").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"its cluster's server is not a URL: {url!r}")
    namespace = str(context.get("namespace") or "")
    if parts.scheme == "http":
        # Without TLS a token would be read by everybody on the way: kubectl sends none either.
        return Access(url, namespace=namespace)
    certificate, key, pem = _client_certificate(user, folder)
    return Access(
        url,
        _bytes(cluster, "certificate-authority", folder),
        server_name=str(cluster.get("tls-server-name") or ""),
        token=_token(user, folder),
        client_certificate=certificate,
        client_key=key,
        client_pem=pem,
        namespace=namespace,
    )


def _refuse(entry: dict[str, Any], unsupported: Mapping[str, str], of: str) -> None:
    for name, what in unsupported.items():
        if entry.get(name):
            raise ValueError(f"its {of} has {name!r}, and {what} is not supported")


def _token(user: dict[str, Any], folder: Path) -> Token:
    """The file counts more than the text, as for kubectl."""
    if user.get("tokenFile"):
        token = FileToken(folder / user["tokenFile"])
        token()
        return token
    return FixedToken(str(user.get("token") or ""))


def _client_certificate(
    user: dict[str, Any], folder: Path
) -> tuple[Path | None, Path | None, bytes]:
    """(certificate, key, both as text): files if both are files."""
    names = ("client-certificate", "client-key")
    given = [bool(user.get(name) or user.get(f"{name}-data")) for name in names]
    if not any(given):
        return None, None, b""
    if not all(given):
        raise ValueError("its user has a client certificate without a key, or a key without one")
    if not any(user.get(f"{name}-data") for name in names):
        certificate, key = (folder / user[name] for name in names)
        for path in (certificate, key):
            path.open("rb").close()  # said now, and not at the first request
        return certificate, key, b""
    return None, None, b"\n".join(_bytes(user, name, folder) for name in names)


def _bytes(entry: dict[str, Any], name: str, folder: Path) -> bytes:
    """`NAME-data` in base64, or the file `NAME`, or nothing."""
    if data := entry.get(f"{name}-data"):
        try:
            return base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError, AttributeError):
            raise ValueError(f"its {name}-data is not base64") from None
    return (folder / entry[name]).read_bytes() if entry.get(name) else b""
