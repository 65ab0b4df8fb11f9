"""Where the server is and how to be let in, from a kubeconfig that Podward wrote.

Podward's own file is read line by line: a YAML parser would cost the small verbs a sixth of their time. Any
other kubeconfig is read as YAML.
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from podward.cli.errors import CliError


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    ca_pem: str
    token: str


def default_data_dir() -> Path:
    """/var/lib/podward for root, the XDG data home for everybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/podward")
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(home) / "podward"


def find_server(explicit: str | None) -> Server:
    """`--kubeconfig`, else $KUBECONFIG, else the default data directory's."""
    path = Path(explicit or os.environ.get("KUBECONFIG") or default_data_dir() / "kubeconfig")
    try:
        text = path.read_text()
    except OSError as error:
        raise CliError(
            f"cannot find a running podward: cannot read {path}: {error.strerror}; start one with: podward up"
        ) from None
    found = _plain(text) or _yaml(text, path)
    address = found.get("server", "").removeprefix("https://").rstrip("/")
    host, _, port = address.rpartition(":")
    try:
        ca = base64.b64decode(found.get("certificate-authority-data", "")).decode()
        return Server(host.strip("[]"), int(port), ca, found["token"])
    except (KeyError, ValueError):
        raise CliError(f"cannot use {path}: it names no server with a token") from None


_KEYS = ("server", "certificate-authority-data", "token")


def _plain(text: str) -> dict[str, str] | None:
    """The three values, if each stands on one line of its own, once."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.strip().removeprefix("- ").partition(": ")
        if colon and name in _KEYS:
            if name in found:
                return None
            found[name] = value.strip().strip("\"'")
    return found if len(found) == len(_KEYS) else None


def _yaml(text: str, path: Path) -> dict[str, str]:
    from podward.client.access import entries

    try:
        cluster, user, _ = entries(text)
    except ValueError:
        raise CliError(f"cannot use {path}: it is not a kubeconfig") from None
    return {**cluster, **user}
