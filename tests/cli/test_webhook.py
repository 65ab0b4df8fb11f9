"""`podward webhook` as far as it comes without a cluster: what is wrong is said in one line."""

from pathlib import Path

import pytest
from tests.client.test_transports import config, written

from podward.cli.errors import CliError
from podward.cli.main import cli


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in ("crt", "key"):
        (tmp_path / name).write_text("")
    return ["--cert-file", str(tmp_path / "crt"), "--key-file", str(tmp_path / "key")]


def refusal(*options: str) -> str:
    with pytest.raises(CliError) as refused:
        cli.main(["webhook", *options], standalone_mode=False)
    text = str(refused.value)
    assert "\n" not in text
    assert refused.value.code == 1
    return text


def test_a_certificate_is_needed_from_one_place(certificate: list[str]) -> None:
    assert "--cert-file and --key-file, or --self-managed" in refusal()
    assert "belong together" in refusal(*certificate[:2])
    assert "belong together" in refusal(*certificate[2:])
    assert "give no files" in refusal(*certificate, "--self-managed")
    assert "cannot read /none/a" in refusal("--cert-file", "/none/a", "--key-file", "/none/b")


def test_a_cluster_is_needed_and_a_way_to_it(certificate: list[str], tmp_path: Path) -> None:
    assert "--kubeconfig" in refusal(*certificate)
    assert "cannot read /none" in refusal(*certificate, "--kubeconfig", "/none")
    odd = str(written(tmp_path, "a: b"))
    assert "it is not a kubeconfig" in refusal(*certificate, "--kubeconfig", odd)
    plug_in = config({"server": "https://h"}, {"exec": {"command": "aws"}})
    path = str(written(tmp_path, plug_in))
    assert "fetches credentials is not supported" in refusal(*certificate, "--kubeconfig", path)


def test_a_kubeconfig_of_the_environment_counts_outside_a_cluster(
    certificate: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/none/config")
    assert "cannot read /none/config" in refusal(*certificate)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert "serviceaccount/token" in refusal(*certificate)


def test_an_address_has_a_port(certificate: list[str]) -> None:
    assert "write HOST:PORT" in refusal(*certificate, "--listen", "nowhere")
