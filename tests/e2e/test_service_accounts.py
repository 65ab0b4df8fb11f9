"""Service accounts from outside: kubectl's questions, what roles allow, the API reached from inside a Pod."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Kubectl, Podward, component_missing, eventually, kubectl_current
from tests.engine.containerd import Containerd
from tests.engine.images import Image, busybox_files

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
IMAGE = "podward.test/curl:1"
ASK = (
    f'cd {PLACE}; curl -sS --max-time 10 --cacert ca.crt -H "Authorization: Bearer $(cat token)" '
    "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$(cat namespace)/pods"
)
"""What a program in a Pod does that knows nothing but what Kubernetes gives it."""
READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default}]
"""


def pod(name: str, script: str, policy: str = "Never") -> str:
    spec = {
        "restartPolicy": policy, "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "app", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", script]}],
    }  # fmt: skip
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return json.dumps(document)


def as_account(podward: Podward, token: str, folder: Path) -> str:
    """A kubeconfig that has the token and nothing else."""
    path = folder / "account.kubeconfig"
    authority = podward.data_dir / "pki/ca.crt"
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": podward.url, "certificate-authority": str(authority)}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    path.write_text(json.dumps(config))
    return str(path)


def asked(podward: Podward, token: str, path: str) -> int:
    """The HTTP code of the answer."""
    tls = ssl.create_default_context(cafile=str(podward.data_dir / "pki/ca.crt"))
    request = urllib.request.Request(
        podward.url + path, headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, context=tls) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# ---- kubectl's questions


def test_roles_are_made_shown_and_obeyed(kubectl: Kubectl, namespace: str) -> None:
    inside = ("-n", namespace)
    kubectl(*inside, "create", "sa", "robot")
    kubectl(*inside, "create", "role", "r", "--verb=get,list", "--resource=pods,pods/log")
    kubectl(
        *inside, "create", "rolebinding", "b", "--role=r", f"--serviceaccount={namespace}:robot"
    )
    robot = f"--as=system:serviceaccount:{namespace}:robot"
    rows = kubectl(*inside, "get", "rolebindings", "-o", "wide").splitlines()
    assert rows[0].split() == ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    assert rows[1].split()[:2] == ["b", "Role/r"]
    assert rows[1].split()[-1] == f"{namespace}/robot"
    for verb, resource, answer in (
        ("list", "pods", "yes"), ("get", "pods/log", "yes"), ("delete", "pods", "no"),
        ("list", "secrets", "no"),
    ):  # fmt: skip
        said = kubectl.result(*inside, robot, "auth", "can-i", verb, resource)
        assert said[1].split(" ")[0].strip() == answer
        assert said[0] == (0 if answer == "yes" else 1)
    assert "pods/log" in kubectl(*inside, robot, "auth", "can-i", "--list")
    assert "No resources found" in kubectl(*inside, robot, "get", "pods")
    code, _, error = kubectl.result(*inside, robot, "get", "secrets")
    assert (code, error) == (
        1,
        f'Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:{namespace}:robot" '
        f'cannot list resource "secrets" in API group "" in the namespace "{namespace}"\n',
    )


def test_a_token_is_somebody(recent_kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    kubectl = recent_kubectl
    token = kubectl("-n", namespace, "create", "token", "default", "--duration", "10m").strip()
    access = ("--kubeconfig", as_account(kubectl.podward, token, tmp_path))
    who = kubectl(*access, "auth", "whoami", "-o", "json")
    user = json.loads(who)["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{namespace}:default"
    assert f"system:serviceaccounts:{namespace}" in user["groups"]
    code, _, error = kubectl.result(*access, "-n", namespace, "get", "pods")
    assert code == 1
    assert 'cannot list resource "pods" in API group ""' in error
    kubectl.apply(READER.replace("metadata: {", f"metadata: {{namespace: {namespace}, "))
    assert "No resources found" in kubectl(*access, "-n", namespace, "get", "pods")
    code, _, error = kubectl.result("-n", namespace, "create", "token", "default", "--duration=1s")
    assert code == 1
    assert "may not specify a duration less than 10 minutes" in error
    kubectl("-n", namespace, "delete", "sa", "default")
    assert eventually(lambda: kubectl("-n", namespace, "get", "sa", "default", check=False))
    code, _, error = kubectl.result(*access, "-n", namespace, "get", "pods")
    assert code == 1
    assert "Unauthorized" in error or "must be logged in" in error


# ---- from inside a Pod


def curl() -> Image:
    """This machine's curl beside busybox."""
    found = shutil.which("curl")
    if found is None:
        component_missing("curl")
        raise AssertionError
    binary = Path(found).resolve()
    files, links = busybox_files()
    files["usr/bin/curl"] = binary
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", listed):
        files[library.lstrip("/")] = Path(library).resolve()
    return Image([IMAGE], files, links)


class Inside:
    """A server on an engine of its own, and what its Pods see."""

    def __init__(self, engine: Containerd, podward: Podward, kubectl: Kubectl) -> None:
        self.engine = engine
        self.podward = podward
        self.kubectl = kubectl

    def ended(self, name: str, script: str) -> str:
        """What a Pod leaves to say that runs to its end."""
        self.kubectl.apply(pod(name, script))
        return self.message(name)

    def message(self, name: str) -> str:
        def state() -> Any:
            status = self.kubectl.json("get", "pod", name)["status"]
            return status.get("containerStatuses", [{}])[0].get("state", {}).get("terminated")

        return str(eventually(state, what=f"{name} to end").get("message", ""))

    def pid(self, name: str) -> int:
        """Of a container's first process."""

        def found() -> int:
            status = self.kubectl.json("get", "pod", name)["status"]
            id_ = (
                status.get("containerStatuses", [{}])[0].get("containerID", "").partition("://")[2]
            )
            rows = [line.split() for line in self.engine.ctr("tasks", "ls").splitlines()]
            return next((int(row[1]) for row in rows if id_ and row[0] == id_), 0)

        return eventually(found, what=f"{name} to run")


@pytest.fixture(scope="module")
def inside(containerd: Containerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    containerd.load(curl())
    folder = tmp_path_factory.mktemp("accounts")
    server = Podward(folder / "data", "--runtime", f"cri://{containerd.socket}").start()
    try:
        yield Inside(containerd, server, Kubectl(binary, server, folder))
    finally:
        server.tear_down()


def test_a_pod_reaches_the_api_as_its_account_and_only_while_it_is_there(inside: Inside) -> None:
    kubectl = inside.kubectl
    refused = json.loads(inside.ended("before", f"({ASK}) > /dev/termination-log 2>&1"))
    assert (refused["code"], refused["message"]) == (
        403,
        'pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API '
        'group "" in the namespace "default"',
    )
    kubectl.apply(READER)
    said = inside.ended("after", f"({ASK}) 2>&1 | head -c 60 > /dev/termination-log")
    assert said.startswith('{"kind":"PodList"')
    token = inside.ended("teller", f"cat {PLACE}/token > /dev/termination-log")
    pods = "/api/v1/namespaces/default/pods"
    assert asked(inside.podward, token, pods) == 200
    assert asked(inside.podward, token, "/api/v1/namespaces/kube-system/pods") == 403
    kubectl("delete", "pod", "teller", "--wait")
    assert asked(inside.podward, token, pods) == 401


_FROM_INSIDE = """
import ssl, sys, urllib.request
folder, host = sys.argv[1:]
tls = ssl.create_default_context(cafile=f"{folder}/ca.crt")
token = open(f"{folder}/token").read()
request = urllib.request.Request(f"https://{host}/apis", headers={"Authorization": f"Bearer {token}"})
print(urllib.request.urlopen(request, context=tls, timeout=5).status)
"""


def from_inside(pid: int) -> "subprocess.CompletedProcess[str]":
    """A request from the Pod's network with the certificate and the token of its volume."""
    folder = f"/proc/{pid}/root{PLACE}"
    return subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", _FROM_INSIDE, folder, "127.96.0.1"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip


def test_the_door_is_in_the_pods_network_alone_and_opens_again_after_a_crash(
    inside: Inside,
) -> None:
    inside.kubectl.apply(pod("web", "exec sleep 1000", "Always"))
    pid = inside.pid("web")
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert "KUBERNETES_SERVICE_HOST=127.96.0.1" in environment
    assert "KUBERNETES_PORT_443_TCP=tcp://127.96.0.1:443" in environment
    assert Path(f"/proc/{pid}/root{PLACE}/namespace").read_text() == "default"
    done = from_inside(pid)
    assert done.stdout == "200\n", done.stderr
    with pytest.raises(OSError), socket.create_connection(("127.96.0.1", 443), 2):
        pass
    inside.podward.kill()
    assert from_inside(pid).returncode != 0
    inside.podward.start()
    eventually(lambda: from_inside(pid).stdout == "200\n", what="the door to open again")
    assert inside.pid("web") == pid
    inside.kubectl("delete", "pod", "web", "--wait")


def test_a_pod_in_the_machines_network_reaches_it_too(inside: Inside) -> None:
    document = json.loads(pod("host", f"({ASK}) 2>&1 | head -c 60 > /dev/termination-log"))
    document["spec"]["hostNetwork"] = True
    inside.kubectl.apply(json.dumps(document))

    said = inside.message("host")
    assert said.startswith('{"kind":'), said


def test_an_account_that_is_not_there_or_not_wanted(inside: Inside) -> None:
    document = json.loads(pod("x", "true"))
    document["spec"]["serviceAccountName"] = "robot"
    said = inside.kubectl.apply(json.dumps(document), check=False)
    assert (
        'pods "x" is forbidden: error looking up service account default/robot: serviceaccount "robot" not '
        "found"
    ) in said
    document["spec"] |= {"serviceAccountName": "default", "automountServiceAccountToken": False}
    inside.kubectl.apply(json.dumps(document))
    assert "volumes" not in inside.kubectl.json("get", "pod", "x")["spec"]
