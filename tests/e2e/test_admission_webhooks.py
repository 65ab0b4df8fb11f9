"""A webhook is configured with kubectl, and asked; then it dies."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Kubectl

from podward.apiserver.certificates import ensure_authority
from podward.machinery.clock import SystemClock

NAME = "podward-e2e-webhook"


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """(the process, its clientConfig)."""
    credentials = ensure_authority(tmp_path, SystemClock(), [])
    program = Path(__file__).with_name("webhook_server.py")
    with subprocess.Popen(
        [sys.executable, str(program), str(credentials.folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        bundle = base64.b64encode(credentials.ca_certificate.read_bytes()).decode()
        yield process, {"url": f"https://127.0.0.1:{port}/mutate", "caBundle": bundle}
        process.kill()


def configuration(client: dict[str, str], namespace: str, policy: str) -> str:
    """Only of this namespace: the server is shared with other tests."""
    rule = {
        "operations": ["CREATE"],
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["pods"],
    }
    webhook = {
        "name": "pods.hooks.example.org",
        "clientConfig": client,
        "rules": [rule],
        "failurePolicy": policy,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "matchConditions": [{"name": "named", "expression": "object.metadata.name != 'spared'"}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return json.dumps(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": NAME},
            "webhooks": [webhook],
        }
    )


def pod(name: str) -> str:
    """One that nobody runs."""
    spec = {"schedulerName": "nobody", "containers": [{"name": "app", "image": "busybox"}]}
    metadata = {"name": name}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def test_a_pod_comes_back_patched_until_the_webhook_dies(
    recent_kubectl: Kubectl,
    namespace: str,
    hook: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    process, client = hook
    kubectl = recent_kubectl

    def create(name: str, *more: str) -> tuple[int, str, str]:
        return kubectl.result("create", "-n", namespace, "-f", "-", *more, stdin=pod(name))

    def labels(name: str) -> Any:
        return kubectl.json("get", "pod", name, "-n", namespace)["metadata"].get("labels")

    try:
        kubectl.apply(configuration(client, namespace, "Fail"))
        row = kubectl("get", "mutatingwebhookconfigurations", NAME).splitlines()
        assert row[0].split() == ["NAME", "WEBHOOKS", "AGE"]
        assert row[1].split()[:2] == [NAME, "1"]

        code, _, error = create("web")
        assert (code, labels("web")) == (0, {"seen": "yes"})
        assert error == "Warning: labelled by a webhook\n"
        code, out, _ = create("dry", "--dry-run=server", "-o", "json")
        assert (code, json.loads(out)["metadata"]["labels"]) == (0, {"seen": "yes"})
        assert create("spared")[0] == 0
        assert labels("spared") is None

        process.kill()
        process.wait()
        code, _, error = create("refused")
        assert code == 1
        assert error.startswith(
            'Error from server (InternalError): error when creating "STDIN": Internal error occurred: '
            'failed calling webhook "pods.hooks.example.org": failed to call webhook: Post '
        )
        assert "connection refused" in error

        assert "configured" in kubectl.apply(configuration(client, namespace, "Ignore"))
        kept = kubectl.json("get", "mutatingwebhookconfigurations", NAME)
        assert (kept["metadata"]["generation"], kept["webhooks"][0]["failurePolicy"]) == (
            2,
            "Ignore",
        )
        assert create("accepted")[0] == 0
        assert labels("accepted") is None
    finally:
        kubectl("delete", "mutatingwebhookconfigurations", NAME, "--ignore-not-found")


def test_a_configuration_that_is_wrong_is_refused_as_a_cluster_refuses_it(
    recent_kubectl: Kubectl, namespace: str
) -> None:
    bad = json.loads(configuration({"url": "http://a.b/c"}, namespace, "Panic"))
    bad["webhooks"][0]["name"] = "short"
    code, _, error = recent_kubectl.result("apply", "-f", "-", stdin=json.dumps(bad))
    assert code == 1
    assert error.strip().splitlines() == [
        f'The MutatingWebhookConfiguration "{NAME}" is invalid: ',
        '* webhooks[0].name: Invalid value: "short": should be a domain with at least three segments '
        "separated by dots",
        '* webhooks[0].failurePolicy: Unsupported value: "Panic": supported values: "Fail", "Ignore"',
        "* webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
        "desired format: https://host[/path]",
    ]
