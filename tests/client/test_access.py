"""What cannot be used is said in one line; what is not understood is never left out."""

from pathlib import Path

import pytest
from tests.client.test_transports import config, written

from podward.client.access import AccessError, from_kubeconfig, in_cluster

HTTPS = {"server": "https://h"}


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        (HTTPS, {"exec": {"command": "aws"}}, "'exec', and a plug-in that fetches credentials"),
        (HTTPS, {"auth-provider": {"name": "gcp"}}, "'auth-provider'"),
        (HTTPS, {"username": "x", "password": "y"}, "a password is not supported"),
        (HTTPS, {"token": "t", "as": "somebody"}, "impersonation is not supported"),
        ({**HTTPS, "insecure-skip-tls-verify": True}, {}, "certificate is not checked"),
        ({**HTTPS, "proxy-url": "http://p"}, {}, "a proxy is not supported"),
        ({"server": "h:6443"}, {}, "not a URL: 'h:6443'"),
        ({}, {}, "not a URL: ''"),
        ({**HTTPS, "certificate-authority-data": "%"}, {}, "not base64"),
        ({**HTTPS, "certificate-authority": "none.crt"}, {}, "none.crt: No such file"),
        (HTTPS, {"tokenFile": "none"}, "none: No such file"),
        (HTTPS, {"client-key": "k"}, "a key without one"),
        (HTTPS, {"client-certificate": "no.crt", "client-key": "k"}, "no.crt: No such file"),
    ],
)
def test_what_is_not_supported_is_refused(
    cluster: object, user: object, said: str, tmp_path: Path
) -> None:
    with pytest.raises(AccessError) as refused:
        from_kubeconfig(written(tmp_path, config(cluster, user)))
    text = str(refused.value)
    assert said in text
    assert str(tmp_path) in text
    assert "\n" not in text


@pytest.mark.parametrize("text", ["[]", "a: b", "{current-context: x, contexts: [], clusters: []}"])
def test_what_is_no_kubeconfig_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="it is not a kubeconfig"):
        from_kubeconfig(written(tmp_path, text))


def test_yaml_that_cannot_be_read_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"cannot use .*config: "):
        from_kubeconfig(written(tmp_path, "a: [b"))
    with pytest.raises(AccessError, match=r"cannot use .*config: expected one document"):
        from_kubeconfig(written(tmp_path, ""))
    with pytest.raises(AccessError, match=r"cannot read .*none: No such file"):
        from_kubeconfig(tmp_path / "none")


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1"])
def test_a_pod_finds_its_own_cluster(host: str, tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / name).write_text(f"the {name}\n")
    access = in_cluster(environment, tmp_path)
    assert access is not None
    assert access.url == ("https://10.0.0.1:443" if host == "10.0.0.1" else "https://[fd00::1]:443")
    assert (access.token(), access.ca_pem, access.namespace) == (
        "the token", b"the ca.crt\n", "the namespace",
    )  # fmt: skip


def test_outside_a_cluster_there_is_none_and_a_pod_without_a_token_is_told(tmp_path: Path) -> None:
    assert in_cluster({}, tmp_path) is None
    environment = {"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(AccessError, match="token: No such file"):
        in_cluster(environment, tmp_path)
    (tmp_path / "token").write_text("t")
    with pytest.raises(AccessError, match=r"ca\.crt: No such file"):
        in_cluster(environment, tmp_path)
