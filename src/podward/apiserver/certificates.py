"""An authority of its own: who may serve and who is let in, kept below `<data-dir>/pki/`.

Files are replaced whole and readable by their owner only. What exists is kept: a restart changes no identity; a
server certificate is issued anew when its names changed or it nears its end.
"""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from podward.apiserver.service_account_tokens import SigningKey
from podward.machinery.certificates import (
    Facts,
    Pair,
    facts_of,
    is_issued_by,
    is_pair,
    make_authority,
    make_leaf,
)
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

SERVICE_ADDRESS = "127.96.0.1"
"""Where Pods with a network of their own find the API server: a loopback address, so it is theirs alone."""
_RENEW_BEFORE = timedelta(days=30)
_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    SERVICE_ADDRESS,
    "127.0.0.1",
    "::1",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    folder: Path
    token: str

    @property
    def ca_certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def account_key(self) -> Path:
        """What signs the tokens of service accounts."""
        return self.folder / "sa.key"

    @property
    def server_certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.folder / "server.key"

    @property
    def admin_certificate(self) -> Path:
        return self.folder / "admin.crt"

    @property
    def admin_key(self) -> Path:
        return self.folder / "admin.key"


def ensure_authority(data_dir: Path, clock: Clock, hosts: Sequence[str]) -> Credentials:
    """Make what is missing. Keys are drawn by the cryptography library, the token by the system."""
    folder = data_dir / "pki"
    folder.mkdir(mode=0o700, exist_ok=True)
    now = clock.now()
    token_file = folder / "token"
    if not token_file.exists():
        _write(token_file, Entropy().hex(64).encode())
    credentials = Credentials(folder, token_file.read_text())
    names = sorted({*_NAMES, *hosts})
    if _sound(folder, "ca", now) is None:
        _store(folder, "ca", make_authority("podward-ca", now=now))
    authority = _pair(folder, "ca")
    server = _sound(folder, "server", now)
    if server is None or server.names != set(names):
        _store(folder, "server", make_leaf(authority, "podward", now=now, names=names))
    if _sound(folder, "admin", now) is None:
        admin = make_leaf(authority, "kubernetes-admin", now=now, organization="system:masters")
        _store(folder, "admin", admin)
    return credentials


def ensure_signing_key(credentials: Credentials) -> SigningKey:
    """Made once: a new one makes every token worthless that the old one signed."""
    try:
        return SigningKey.from_pem(_read(credentials.account_key))
    except ValueError:
        key = SigningKey.generate()
        _write(credentials.account_key, key.pem())
        return key


def write_kubeconfig(path: Path, server_url: str, credentials: Credentials) -> None:
    """All that a client needs, embedded; each value on a line of its own."""

    def embedded(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    text = f"""apiVersion: v1
kind: Config
current-context: podward
clusters:
- name: podward
  cluster:
    server: {server_url}
    certificate-authority-data: {embedded(credentials.ca_certificate)}
contexts:
- name: podward
  context:
    cluster: podward
    user: podward
users:
- name: podward
  user:
    client-certificate-data: {embedded(credentials.admin_certificate)}
    client-key-data: {embedded(credentials.admin_key)}
    token: {credentials.token}
"""
    _write(path, text.encode())


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _pair(folder: Path, name: str) -> Pair:
    return Pair(_read(folder / f"{name}.crt"), _read(folder / f"{name}.key"))


def _sound(folder: Path, name: str, now: datetime) -> Facts | None:
    """A certificate that lasts, fits the key beside it and was signed by the authority that is here now.

    A crash may have come between any two files.
    """
    pair = _pair(folder, name)
    facts = facts_of(pair.certificate)
    if facts is None or facts.not_after - now <= _RENEW_BEFORE:
        return None
    sound = is_pair(pair) and is_issued_by(pair.certificate, _read(folder / "ca.crt"))
    return facts if sound else None


def _store(folder: Path, name: str, pair: Pair) -> None:
    _write(folder / f"{name}.key", pair.key)
    _write(folder / f"{name}.crt", pair.certificate)
