"""Each mistake a clear error; nothing half-created, never a traceback."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.support import ROOT, Kubectl, Podward

GOLDEN = ROOT / "tests/golden/kubectl"


def up(data_dir: Path, listen: str = "127.0.0.1:0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "podward", "up", "--data-dir", str(data_dir), "--listen", listen],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_an_invalid_pod_gets_every_error_of_a_real_cluster(
    recent_kubectl: Kubectl, namespace: str
) -> None:
    manifest = (GOLDEN / "invalid-pod.yaml").read_text()
    _, _, error = recent_kubectl.result("apply", "-n", namespace, "-f", "-", stdin=manifest)
    assert error.strip() == (GOLDEN / "invalid-pod.txt").read_text().strip()


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: b,"
            " livenesProbe: {}}]}}",
            'unknown field "spec.containers[0].livenesProbe"',
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: b,"
            " livenessProbe: {exec: {command: [a]}, periodSeconds: soon}}]}}",
            "periodSeconds",
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: b},"
            " {name: c, image: b}]}}",
            'spec.containers[1].name: Duplicate value: "c"',
        ),
        ("{apiVersion: v1, kind: Nonsense, metadata: {name: p}}", 'no matches for kind "Nonsense"'),
        ("{apiVersion: v1, kind: Pod, metadata: {name: p", "yaml"),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: big}, data: {k: "
            + "x" * 4_000_000
            + "}}",
            "large",
        ),
    ],
    ids=[
        "unknown field",
        "wrong type",
        "duplicate name",
        "unknown kind",
        "broken yaml",
        "4 MB body",
    ],
)
def test_a_bad_manifest_is_refused_with_a_reason(
    podward: Podward, recent_kubectl: Kubectl, namespace: str, manifest: str, says: str
) -> None:
    manifest = f"# a first character that keeps kubectl from reading this as JSON\n{manifest}"
    code, _, error = recent_kubectl.result("apply", "-n", namespace, "-f", "-", stdin=manifest)
    assert code == 1
    assert says.lower() in error.lower()
    text = podward.cli("apply", "-n", namespace, "-f", "-", input=manifest, check=False)
    assert says.lower() in text.lower()
    assert "Traceback" not in text
    for kind in ("pods", "configmaps"):
        assert "p " not in podward.cli("get", kind, "-n", namespace)


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = up(tmp_path / "data", address)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert address in done.stderr


def test_an_unusable_data_directory_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    done = up(tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "file") in done.stderr


def test_without_a_server_the_verbs_say_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "podward", "get", "pods"],
        capture_output=True, text=True, timeout=30, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "none"), "XDG_DATA_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_anonymous_requests_are_refused_health_aside(podward: Podward) -> None:
    import ssl
    import urllib.error
    import urllib.request

    context = ssl.create_default_context(cafile=None)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with urllib.request.urlopen(f"{podward.url}/livez", context=context) as answer:
        assert answer.read() == b"ok"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{podward.url}/api/v1/pods", context=context)
    assert refused.value.code == 401
    refused.value.close()
