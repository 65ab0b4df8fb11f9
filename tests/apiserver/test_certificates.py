"""The authority below the data directory: made once, whole after any crash, renewed in time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from podward.apiserver.certificates import (
    ensure_authority,
    ensure_signing_key,
    write_kubeconfig,
)
from podward.machinery.certificates import facts_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTS = ["node-1", "192.0.2.2"]


class StoppedClock:
    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        raise AssertionError("certificates know wall time only")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "pki").iterdir()}


def changed(folder: Path, clock: StoppedClock | None = None, hosts: list[str] = HOSTS) -> set[str]:
    """Names of the files that another start writes anew."""
    before = contents(folder)
    ensure_authority(folder, clock or StoppedClock(), hosts)
    after = contents(folder)
    return {name for name in after if before.get(name) != after[name]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ensure_authority(tmp_path, StoppedClock(), HOSTS)
    return tmp_path


SERVER, ADMIN = {"server.crt", "server.key"}, {"admin.crt", "admin.key"}
AUTHORITY = {"ca.crt", "ca.key"}


def test_nobody_else_reads_a_file_of_it(folder: Path) -> None:
    assert set(contents(folder)) == {*AUTHORITY, *SERVER, *ADMIN, "token"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder / "pki").iterdir())


def test_another_start_changes_nothing(folder: Path) -> None:
    assert changed(folder) == set()


def test_a_new_name_of_the_machine_renews_only_the_servers_certificate(folder: Path) -> None:
    assert changed(folder, hosts=[*HOSTS, "198.51.100.7"]) == SERVER


def test_what_nears_its_end_is_renewed(folder: Path) -> None:
    nearly = StoppedClock(NOW + timedelta(days=3650 - 20))
    assert changed(folder, nearly) == AUTHORITY | SERVER | ADMIN


@pytest.mark.parametrize(
    ("lost", "renewed"),
    [
        ("ca.crt", AUTHORITY | SERVER | ADMIN),
        ("ca.key", AUTHORITY | SERVER | ADMIN),
        ("server.crt", SERVER),
        ("server.key", SERVER),
        ("admin.key", ADMIN),
        ("token", {"token"}),
    ],
)
def test_what_a_crash_left_out_is_made_again_with_all_that_hangs_on_it(
    lost: str, renewed: set[str], folder: Path
) -> None:
    (folder / "pki" / lost).unlink()
    assert changed(folder) == renewed


def test_a_key_that_does_not_fit_its_certificate_is_replaced(folder: Path) -> None:
    pki = folder / "pki"
    (pki / "server.key").write_bytes((pki / "admin.key").read_bytes())
    assert changed(folder) == SERVER


def test_rubbish_is_replaced(folder: Path) -> None:
    (folder / "pki" / "admin.crt").write_text("rubbish")
    assert changed(folder) == ADMIN


def test_the_kubeconfig_is_whole_and_private(folder: Path) -> None:
    credentials = ensure_authority(folder, StoppedClock(), HOSTS)
    path = folder / "kubeconfig"
    write_kubeconfig(path, "https://127.0.0.1:6443", credentials)
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    assert "server: https://127.0.0.1:6443" in text
    assert credentials.token in text


def test_pods_find_the_server_under_its_names_in_the_cluster(folder: Path) -> None:
    facts = facts_of((folder / "pki/server.crt").read_bytes())
    assert facts is not None
    assert facts.names >= {
        "kubernetes", "kubernetes.default", "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local", "127.96.0.1", "node-1",
    }  # fmt: skip


def test_the_key_that_signs_tokens_is_made_once(folder: Path) -> None:
    credentials = ensure_authority(folder, StoppedClock(), HOSTS)
    first = ensure_signing_key(credentials)
    assert credentials.account_key.stat().st_mode & 0o077 == 0
    assert ensure_signing_key(credentials).id == first.id
    credentials.account_key.write_bytes(b"half a file")
    second = ensure_signing_key(credentials)
    assert second.id != first.id
    assert ensure_signing_key(credentials).id == second.id
