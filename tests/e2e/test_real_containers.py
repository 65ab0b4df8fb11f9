"""examples/13-real-containers: nginx on its Pod IP, probed and healed."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.support import ROOT, Kubectl, eventually

BREAK = 'echo "server { listen 80; return 500; }" > /etc/nginx/conf.d/default.conf; nginx -s reload'


def fetch(ip: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{ip}/", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


@pytest.fixture
def nginx(engine_kubectl: Kubectl, engine_namespace: str) -> Iterator[Any]:
    """Asks for the Pod of the example, once it is ready."""
    manifest = ROOT / "examples/13-real-containers/pod.yaml"
    engine_kubectl("apply", "-n", engine_namespace, "-f", str(manifest))
    engine_kubectl("wait", "pod/nginx", "-n", engine_namespace, "--for=condition=Ready")

    def get() -> Any:
        return engine_kubectl.json("get", "pod", "nginx", "-n", engine_namespace)

    yield get
    engine_kubectl("delete", "pod", "nginx", "-n", engine_namespace)


def test_nginx_is_served_on_its_pod_ip_and_healed_when_its_configuration_breaks(
    nginx: Any, engine_kubectl: Kubectl, engine_namespace: str
) -> None:
    pod = nginx()
    ip = pod["status"]["podIP"]
    assert ip != pod["status"]["hostIP"]
    assert fetch(ip) == (200, "<h1>Welcome to nginx!</h1>\n")
    broken = engine_kubectl.result("exec", "-n", engine_namespace, "nginx", "--", "sh", "-c", BREAK)
    assert broken[0] == 0, broken[2]
    eventually(lambda: fetch(ip)[0] == 500, what="nginx serves errors")

    def healed() -> bool:
        status = nginx()["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and bool(status["ready"])

    eventually(healed, what="a new container is ready")
    assert nginx()["status"]["podIP"] == ip, "the sandbox is the same"
    assert fetch(ip)[0] == 200
    described = engine_kubectl("describe", "pod", "nginx", "-n", engine_namespace)
    assert "Liveness probe failed: HTTP probe failed with statuscode: 500" in described
    assert "Container nginx failed liveness probe, will be restarted" in described
