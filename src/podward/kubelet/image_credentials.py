"""Who is allowed to fetch which image: the Pod's pull secrets, then what this machine itself knows.

A set of credentials is a `dockerconfigjson`: a registry, or a path or wildcard of one -> who one is there.
All that fit an image are tried, the more particular place first. Pure, but for reading the machine's files.
"""

import base64
import binascii
import fnmatch
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from lightkube.models import core_v1

from podward.kubelet.runtime.base import Credentials
from podward.machinery.clock import Clock
from podward.machinery.image_reference import parse

JSON_TYPE, JSON_KEY = "kubernetes.io/dockerconfigjson", ".dockerconfigjson"
OLD_TYPE, OLD_KEY = "kubernetes.io/dockercfg", ".dockercfg"
_DOCKER_HUB = "index.docker.io"
_MACHINE_SECONDS = 300.0
"""How long the machine's own files are not read again."""

log = logging.getLogger(__name__)


class CredentialsError(Exception):
    """It is no set of credentials, and why."""


class Entry(msgspec.Struct):
    """Of one registry, as it is written."""

    username: str = ""
    password: str = ""
    auth: str = ""
    """`username:password` in base64; it goes before the two."""

    def credentials(self) -> Credentials:
        if not self.auth:
            return Credentials(self.username, self.password)
        username, colon, password = _decoded(self.auth).partition(":")
        if not colon:
            text = "unable to parse auth field, must be formatted as base64(username:password)"
            raise CredentialsError(text)
        return Credentials(username, password)


class _Whole(msgspec.Struct):
    auths: dict[str, Entry] = {}


Places = Mapping[str, Credentials]


def read_docker_config(text: bytes) -> Places:
    """`{"auths": {place: entry}}`."""
    try:
        return _read(msgspec.json.decode(text, type=_Whole).auths)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CredentialsError(str(error)) from error


def read_old_docker_config(text: bytes) -> Places:
    """`{place: entry}`."""
    try:
        return _read(msgspec.json.decode(text, type=dict[str, Entry]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CredentialsError(str(error)) from error


def _read(entries: Mapping[str, Entry]) -> Places:
    return {place: entry.credentials() for place, entry in entries.items()}


def _decoded(text: str) -> str:
    padded = text.strip()
    padded += "=" * (-len(padded) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise CredentialsError(f"illegal base64 data in auth field: {error}") from error


class Keyring:
    """Which credentials fit an image."""

    def __init__(self, *sets: Places) -> None:
        self._held: dict[str, list[Credentials]] = {}
        for places in sets:
            for place, credentials in places.items():
                key = _key(place)
                if key is not None:
                    self._held.setdefault(key, []).append(credentials)

    def look_up(self, repository: str) -> list[Credentials]:
        """Of `registry/path`, complete. None fits: what there is for Docker Hub, if the image is of there."""
        fitting = [
            one for key in sorted(self._held, reverse=True) if matches(key, repository)
            for one in self._held[key]
        ]  # fmt: skip
        if fitting or not _is_docker_hub(repository):
            return fitting
        return self._held.get(_DOCKER_HUB, [])


def _key(place: str) -> str | None:
    """`https://registry/v1/` is the registry; None for what is no address."""
    try:
        parts = urlsplit(place if place.startswith(("https://", "http://")) else f"https://{place}")
        host = parts.netloc.rpartition("@")[2]
    except ValueError as error:
        log.warning("a registry's address in credentials is no address: %s", error)
        return None
    path = parts.path
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return f"{host}{path}" if path not in ("", "/") else host


def matches(key: str, repository: str) -> bool:
    """Part by part of the host's name, `*` within a part; the same port; the path begins with the key's.

    It begins with it letter by letter, as a kubelet has it: `registry/team` fits `registry/teamwork` too.
    """
    key_host, key_path = _split(key)
    host, path = _split(repository)
    key_name, key_port = _port(key_host)
    name, port = _port(host)
    key_parts, parts = key_name.split("."), name.split(".")
    if key_port != port or len(key_parts) != len(parts) or not path.startswith(key_path):
        return False
    patterns = [part.replace("[^", "[!") for part in key_parts]  # Go's way to say "none of"
    return all(
        fnmatch.fnmatchcase(part, pattern) for part, pattern in zip(parts, patterns, strict=True)
    )


def _split(address: str) -> tuple[str, str]:
    host, slash, path = address.partition("/")
    return host, f"{slash}{path}"


def _port(host: str) -> tuple[str, str]:
    """`[::1]:5000` has one, `[::1]` has none; the brackets are not of the name."""
    name, colon, port = host.rpartition(":")
    if not colon or "]" in port:
        name, port = host, ""
    return (name[1:-1] if name.startswith("[") and name.endswith("]") else name), port


def _is_docker_hub(repository: str) -> bool:
    first, slash, _ = repository.partition("/")
    if not slash:
        return bool(first)
    return first in ("docker.io", _DOCKER_HUB) or (bool(first) and not set(first) & {".", ":"})


# ---- where they come from


def places_of(secrets: Iterable[core_v1.Secret]) -> list[Places]:
    """Of those that are of the two types; raises `CredentialsError` for one that is not what it says."""
    found = []
    for secret in secrets:
        data = secret.data or {}
        if secret.type == JSON_TYPE and data.get(JSON_KEY):
            found.append(read_docker_config(base64.b64decode(data[JSON_KEY])))
        elif secret.type == OLD_TYPE and data.get(OLD_KEY):
            found.append(read_old_docker_config(base64.b64decode(data[OLD_KEY])))
    return found


def pull_secret_names(pod: core_v1.Pod) -> list[str]:
    references = (pod.spec and pod.spec.imagePullSecrets) or ()
    return [one.name for one in references if one.name]


def not_retrieved(names: Sequence[str]) -> str:
    return (
        f"Unable to retrieve some image pull secrets ({', '.join(names)}); "
        "attempting to pull the image may not succeed."
    )


def credentials_for(
    image: str, pull_secrets: Sequence[core_v1.Secret], machine: Places
) -> list[Credentials]:
    """In the order in which they are tried, each once; empty: the registry is asked as anybody."""
    repository = parse(image).repository
    found: list[Credentials] = []
    for keyring in (Keyring(*places_of(pull_secrets)), Keyring(machine)):
        found += keyring.look_up(repository)
    return [one for place, one in enumerate(found) if one not in found[:place]]


class MachineCredentials:
    """What `docker login` left on this machine: the first file that can be read of where a kubelet looks.

    Where it was started is not looked at: a `config.json` there may be anything.
    """

    def __init__(self, clock: Clock, *, home: Path | None, root: Path = Path("/")) -> None:
        self._clock = clock
        kubelet = root / "var/lib/kubelet"
        homes = [home] if home is not None else []
        self._json = [
            kubelet / "config.json",
            *(folder / ".docker/config.json" for folder in homes),
            root / ".docker/config.json",
        ]
        self._old = [folder / ".dockercfg" for folder in (kubelet, *homes, root)]
        self._held: Places = {}
        self._read_at: float | None = None

    def places(self) -> Places:
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at > _MACHINE_SECONDS:
            self._read_at = now
            self._held = self._look()
        return self._held

    def _look(self) -> Places:
        for paths, read in ((self._json, read_docker_config), (self._old, read_old_docker_config)):
            for path in paths:
                try:
                    return read(path.read_bytes())
                except OSError:
                    continue
                except CredentialsError as error:
                    log.warning("%s holds no credentials: %s", path, error)
        return {}
