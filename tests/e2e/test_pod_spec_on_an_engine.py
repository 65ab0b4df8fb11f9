"""What a Pod's spec asks of real containers: the groups of Kubernetes' node conformance that need nothing else.

All Pods are begun at once; each tells what it found in its containers' termination messages.
"""

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Kubectl, Podward, component_missing, eventually, kubectl_current
from tests.engine.containerd import Containerd
from tests.engine.images import Image, busybox_files

TELLS = "> /dev/termination-log"
CGROUPS = Path("/sys/fs/cgroup")


def words() -> Image:
    """An image with an entrypoint, arguments, a user with a name and a working directory of its own."""
    files, links = busybox_files()
    script = b'#!/bin/sh\necho "$* in $(pwd) as $(id -un)" > /dev/termination-log\n'
    return Image(
        ["docker.io/library/words:1"], {**files, "bin/tell": script}, links,
        entrypoint=["/bin/tell", "image-entrypoint"], command=["image-arguments"],
        user="web", working_dir="/etc",
    )  # fmt: skip


def container(name: str, script: str = "", **fields: Any) -> dict[str, Any]:
    whole = {"name": name, "image": "busybox:1.36", **fields}
    if script:
        whole["command"] = ["sh", "-c", f"({script}) {TELLS} 2>&1"]
    return whole


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    meta = {
        "name": name,
        "labels": {"app": "spec", "tier": "one"},
        "annotations": {"note": "hello"},
    }
    whole = {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": list(containers),
        **spec,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": whole}


def field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def amount(name: str, resource: str, divisor: str = "0") -> dict[str, Any]:
    reference = {"resource": resource, "divisor": divisor}
    return {"name": name, "valueFrom": {"resourceFieldRef": reference}}


PROCESS = (
    "id -u; id -g; id -G; sed -n 's/^\\(CapEff\\|CapBnd\\|NoNewPrivs\\|Seccomp\\):.//p' /proc/self/status; "
    "touch /written && echo written; [ -e /dev/kmsg ] && echo devices"
)
SECURITY = pod(
    "security",
    container("of-pod", PROCESS),
    container(
        "own",
        PROCESS,
        securityContext={
            "runAsUser": 0,
            "runAsGroup": 7,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "CHOWN"]},
            "seccompProfile": {"type": "Unconfined"},
        },
    ),
    container("privileged", PROCESS, securityContext={"runAsUser": 0, "privileged": True}),
    container(
        "localhost",
        "chmod 600 /tmp; id -u",
        securityContext={
            "runAsUser": 0,
            "seccompProfile": {"type": "Localhost", "localhostProfile": "tests/no-chmod.json"},
        },
    ),
    securityContext={
        "runAsUser": 1001,
        "runAsGroup": 2002,
        "fsGroup": 3003,
        "supplementalGroups": [4004],
        "seccompProfile": {"type": "RuntimeDefault"},
    },
)
NO_CHMOD = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    ],
}
NON_ROOT = pod(
    "non-root",
    container("image", "true"),
    container("own", "true", securityContext={"runAsUser": 0}),
    container("named", image="words:1", imagePullPolicy="IfNotPresent"),
    container("good", "id -u", securityContext={"runAsUser": 65534}),
    securityContext={"runAsNonRoot": True},
)
WORDS = pod(
    "words",
    *(
        container(name, image="words:1", imagePullPolicy="IfNotPresent", **fields)
        for name, fields in dict[str, dict[str, Any]](
            {
                "image": {},
                "arguments": {"args": ["mine"]},
                "command": {"command": ["/bin/tell", "mine"]},
                "both": {"command": ["/bin/tell"], "args": ["a", "b"]},
                "elsewhere": {"workingDir": "/usr/bin"},
            }
        ).items()
    ),
)
EXPANSION = pod(
    "expansion",
    {
        **container("env", TELLS),
        "command": ["sh", "-c", f"(echo $0 $1; env; hostname) {TELLS}", "$(PLAIN)-x"],
        "args": ["$$(PLAIN)$(NOBODY)"],
        "env": [
            {"name": "PLAIN", "value": "one"},
            {"name": "COMPOSED", "value": "$(PLAIN)-$(LATER)-$$(PLAIN)"},
            {"name": "LATER", "value": "two"},
            {"name": "HOSTNAME_WAS", "value": "$(HOSTNAME)"},
            *(
                field(name, path)
                for name, path in {
                    "NAME": "metadata.name",
                    "SPACE": "metadata.namespace",
                    "UID": "metadata.uid",
                    "TIER": "metadata.labels['tier']",
                    "NOTE": "metadata.annotations['note']",
                    "NODE": "spec.nodeName",
                    "ACCOUNT": "spec.serviceAccountName",
                    "POD_IP": "status.podIP",
                    "POD_IPS": "status.podIPs",
                    "HOST_IP": "status.hostIP",
                    "HOST_IPS": "status.hostIPs",
                }.items()
            ),
            amount("CPU_LIMIT", "limits.cpu"),
            amount("CPU_MILLIS", "limits.cpu", "1m"),
            amount("MEMORY", "limits.memory", "1Mi"),
            amount("MEMORY_ASKED", "requests.memory"),
            amount("CPU_ASKED", "requests.cpu", "1m"),
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "CFG_"}],
        "resources": {
            "limits": {"cpu": "1500m", "memory": "64Mi"},
            "requests": {"cpu": "250m", "memory": "32Mi"},
        },
    },
)
SETTINGS = {
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
    "data": {"colour": "blue"},
}  # fmt: skip
HOSTS = pod(
    "hosts",
    container("managed", "hostname; hostname -f; cat /etc/hosts"),
    container(
        "own",
        "head -n 1 /etc/hosts",
        volumeMounts=[{"name": "machine", "mountPath": "/etc/hosts"}],
    ),
    container("resolver", "cat /etc/resolv.conf"),
    hostname="db",
    subdomain="set",
    hostAliases=[{"ip": "10.1.2.3", "hostnames": ["a.local", "b.local"]}],
    dnsPolicy="None",
    dnsConfig={
        "nameservers": ["192.0.2.53"],
        "searches": ["q.example"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    },
    volumes=[{"name": "machine", "hostPath": {"path": "/etc/hosts", "type": "File"}}],
)
NAMESPACES = "for n in net pid ipc uts; do readlink /proc/self/ns/$n; done"
NODES = pod(
    "nodes",
    container("c", f"{NAMESPACES}; head -n 1 /etc/hosts; tail -n 1 /etc/hosts; echo $IP",
              env=[field("IP", "status.podIP")]),
    hostNetwork=True, hostPID=True, hostIPC=True,
    hostAliases=[{"ip": "10.1.2.3", "hostnames": ["a.local"]}],
)  # fmt: skip
SHARED = pod(
    "shared",
    container("stays", command=["sleep", "7654"]),
    container(
        "looks",
        f"until pidof sleep >/dev/null; do sleep 0.05; done; {NAMESPACES}; ps -o args; "
        "cat /proc/sys/net/ipv4/ip_local_port_range",
    ),
    shareProcessNamespace=True,
    securityContext={"sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": "20000 30000"}]},
)
SERVES = pod(
    "serves",
    container(
        "web",
        command=["sh", "-c", "mkdir /w; echo served > /w/x; exec httpd -f -p 8080 -h /w"],
        ports=[{"containerPort": 8080, "hostPort": 38471, "hostIP": "127.0.0.1"}],
        resources={
            "requests": {"cpu": "100m", "memory": "32Mi"},
            "limits": {"cpu": "300m", "memory": "64Mi"},
        },
    ),
)
OOM = pod(
    "oom",
    container(
        "grows",
        command=["sh", "-c", "x=a; while true; do x=$x$x; done"],
        resources={"limits": {"memory": "16Mi"}},
    ),
)
SIGNALLED = pod(
    "signalled",
    container(
        "c",
        command=["sh", "-c", "trap 'exit 7' USR1; trap 'exit 9' TERM; while :; do sleep 0.05; done"],
        lifecycle={"stopSignal": "SIGUSR1"},
        livenessProbe={
            "exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1,
        },
    ),
    os={"name": "linux"},
    restartPolicy="Always",
    terminationGracePeriodSeconds=5,
)  # fmt: skip
UNSAFE = pod(
    "unsafe",
    container("c", "true"),
    securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]},
)
ODD_CLASS = {
    "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "odd"},
    "handler": "no-such-handler", "overhead": {"podFixed": {"cpu": "10m"}},
}  # fmt: skip
CLASSY = pod("classy", container("c", "true"), runtimeClassName="odd")
FULL = pod(
    "full",
    container("c", "hostname"),
    hostname="db",
    subdomain="set",
    setHostnameAsFQDN=True,
)
ALL = (
    SETTINGS, ODD_CLASS, SECURITY, NON_ROOT, WORDS, EXPANSION, HOSTS, NODES, SHARED, SERVES, OOM,
    SIGNALLED, UNSAFE, CLASSY, FULL,
)  # fmt: skip


class Spec:
    """The namespace in which all of them run."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.kubectl = kubectl
        self.name = name

    def get(self, name: str) -> Any:
        return self.kubectl.json("get", "pod", name, "-n", self.name)

    def when(self, name: str, check: Callable[[Any], Any]) -> Any:
        """The Pod, once `check` of it holds."""
        return eventually(
            lambda: found if check(found := self.get(name)) else None, what=f"pod {name}"
        )

    def told(self, name: str, container: str) -> list[str]:
        """The lines that a container left when it ended."""
        found = self.when(name, lambda found: state(found, container).get("terminated"))
        return str(state(found, container)["terminated"].get("message", "")).splitlines()

    def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message)."""
        selector = f"involvedObject.name={name}"
        found = self.kubectl.json("get", "events", "-n", self.name, "--field-selector", selector)
        return [(one["reason"], one["message"]) for one in found["items"]]


def state(found: Any, name: str) -> Any:
    statuses = found["status"].get("containerStatuses", [])
    return next((one["state"] for one in statuses if one["name"] == name), {})


@pytest.fixture(scope="module")
def spec(
    engine_podward: Podward, containerd: Containerd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spec]:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    containerd.load(words())
    profile = engine_podward.data_dir / "seccomp/tests/no-chmod.json"
    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_text(json.dumps(NO_CHMOD))
    kubectl = Kubectl(binary, engine_podward, tmp_path_factory.mktemp("home"))
    name = f"spec-{os.getpid()}"
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kubectl.apply(json.dumps(space))
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": ALL}), "-n", name)
    yield Spec(kubectl, name)
    kubectl(
        "delete", "pods", "--all", "-n", name
    )  # awaited: what they leave on the machine goes too
    kubectl("delete", "namespace", name, "--wait=false")
    kubectl("delete", "runtimeclass", "odd")


# ---- who it is and what it may


def test_a_security_context_is_the_pods_where_the_container_says_nothing(spec: Spec) -> None:
    uid, gid, groups, effective, _, privileges, seccomp, *rest = spec.told("security", "of-pod")
    assert (uid, gid) == ("1001", "2002")
    assert {"2002", "3003", "4004"} <= set(groups.split())
    assert (int(effective, 16), privileges, seccomp) == (0, "0", "2")
    assert "written" not in rest


def test_a_containers_own_context_goes_first(spec: Spec) -> None:
    uid, gid, groups, effective, bounding, privileges, seccomp, *rest = spec.told("security", "own")
    assert (uid, gid) == ("0", "7")
    assert {"3003", "4004"} <= set(groups.split())
    both = (1 << 12) | 1  # NET_ADMIN and CHOWN
    assert (int(effective, 16), int(bounding, 16)) == (both, both)
    assert (privileges, seccomp) == ("1", "0")
    assert rest == ["touch: /written: Read-only file system"]


def test_a_privileged_container_has_the_machines_devices_and_capabilities(spec: Spec) -> None:
    told = spec.told("security", "privileged")
    assert int(told[3], 16).bit_count() > 30
    assert told[-2:] == ["written", "devices"]


def test_a_seccomp_profile_of_the_nodes(spec: Spec) -> None:
    assert spec.told("security", "localhost") == ["chmod: /tmp: Operation not permitted", "0"]


def test_who_must_not_be_root_is_not_started_as_root(spec: Spec) -> None:
    names = ("image", "own", "named")
    found = spec.when(
        "non-root", lambda found: all(state(found, name).get("waiting") for name in names)
    )
    found = spec.when(
        "non-root",
        lambda found: all(
            state(found, name)["waiting"]["reason"] == "CreateContainerConfigError"
            for name in names
        ),
    )
    where = f'(pod: "non-root_{spec.name}({found["metadata"]["uid"]})", container: '
    assert [state(found, name)["waiting"]["message"] for name in names] == [
        f"container has runAsNonRoot and image will run as root {where}image)",
        f"container's runAsUser breaks non-root policy {where}own)",
        "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is "
        f"non-root {where}named)",
    ]
    assert spec.told("non-root", "good") == ["65534"]


# ---- what it runs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image", "image-entrypoint image-arguments in /etc as web"),
        ("arguments", "image-entrypoint mine in /etc as web"),
        ("command", "mine in /etc as web"),
        ("both", "a b in /etc as web"),
        ("elsewhere", "image-entrypoint image-arguments in /usr/bin as web"),
    ],
)
def test_command_and_arguments_replace_the_images(spec: Spec, name: str, expected: str) -> None:
    assert spec.told("words", name) == [expected]


def test_variables_in_all_their_forms(spec: Spec) -> None:
    first, *lines, hostname = spec.told("expansion", "env")
    assert first == "one-x $(PLAIN)$(NOBODY)"
    env = dict(line.split("=", 1) for line in lines)
    found = spec.get("expansion")
    status, uid = found["status"], found["metadata"]["uid"]
    assert hostname == env["HOSTNAME"] == "expansion"
    assert {name: env.get(name) for name in ("PLAIN", "COMPOSED", "LATER", "HOSTNAME_WAS")} == {
        "PLAIN": "one",
        "COMPOSED": "one-$(LATER)-$(PLAIN)",
        "LATER": "two",
        "HOSTNAME_WAS": "$(HOSTNAME)",
    }
    assert {name: value for name, value in env.items() if name.startswith("CFG_")} == {
        "CFG_colour": "blue"
    }
    told = ("NAME", "SPACE", "UID", "TIER", "NOTE", "NODE", "ACCOUNT")
    assert [env[name] for name in told] == [
        "expansion", spec.name, uid, "one", "hello", "node-1", "default",
    ]  # fmt: skip
    assert env["POD_IP"] == env["POD_IPS"] == status["podIP"]
    assert env["HOST_IP"] == env["HOST_IPS"] == status["hostIP"]
    counted = ("CPU_LIMIT", "CPU_MILLIS", "MEMORY", "MEMORY_ASKED", "CPU_ASKED")
    assert [env[name] for name in counted] == ["2", "1500", "64", "33554432", "250"]


# ---- its names and its network


def test_the_hosts_file_is_the_kubelets(spec: Spec) -> None:
    short, full, *lines = spec.told("hosts", "managed")
    domain = f"set.{spec.name}.svc.cluster.local"
    address = spec.get("hosts")["status"]["podIP"]
    assert (short, full) == ("db", f"db.{domain}")
    assert lines[:2] == ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost"]
    assert lines[-4:] == [
        f"{address}\tdb.{domain}\tdb", "", "# Entries added by HostAliases.",
        "10.1.2.3\ta.local\tb.local",
    ]  # fmt: skip
    with open("/etc/hosts") as machines:
        assert spec.told("hosts", "own") == [machines.readline().rstrip("\n")]


def test_the_hostname_may_be_the_full_name(spec: Spec) -> None:
    assert spec.told("full", "c") == [f"db.set.{spec.name}.svc.cluster.local"]


def test_the_resolver_is_what_the_pod_says(spec: Spec) -> None:
    assert spec.told("hosts", "resolver") == [
        "search q.example", "nameserver 192.0.2.53", "options ndots:2 edns0",
    ]  # fmt: skip


def test_a_pod_that_says_nothing_of_dns_is_told_nothing_of_it(spec: Spec) -> None:
    assert spec.get("words")["spec"]["dnsPolicy"] == "ClusterFirst"
    assert "MissingClusterDNS" not in dict(spec.events("words"))


def ours(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def test_the_nodes_namespaces_are_the_nodes(spec: Spec) -> None:
    net, pid, ipc, _, head, tail, address = spec.told("nodes", "c")
    assert (net, pid, ipc) == (ours("net"), ours("pid"), ours("ipc"))
    assert head == "# Kubernetes-managed hosts file (host network)."
    assert tail == "10.1.2.3\ta.local"
    status = spec.get("nodes")["status"]
    assert address == status["podIP"] == status["hostIP"]


def test_processes_are_shared_within_a_pod_if_it_says_so(spec: Spec) -> None:
    net, pid, ipc, uts, *lines, ports = spec.told("shared", "looks")
    kinds = ("net", "pid", "ipc", "uts")
    assert {net, pid, ipc, uts}.isdisjoint(map(ours, kinds))
    assert "sleep 7654" in lines
    assert ports.split() == ["20000", "30000"]


def test_a_port_of_the_node_leads_to_the_container(spec: Spec) -> None:
    spec.when("serves", lambda found: state(found, "web").get("running"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def page() -> bytes:
        try:
            with opener.open("http://127.0.0.1:38471/x", timeout=2) as answer:
                body: bytes = answer.read()
                return body
        except OSError:
            return b""

    assert eventually(page, what="a page through the node's port") == b"served\n"


# ---- what it may use


def test_requests_and_limits_are_its_cgroups_and_go_with_it(spec: Spec) -> None:
    found = spec.when("serves", lambda found: state(found, "web").get("running"))
    uid = found["metadata"]["uid"]
    identity = found["status"]["containerStatuses"][0]["containerID"].partition("://")[2]
    group = f"kubepods/burstable/pod{uid}"
    own = f"{group}/{identity}"
    if (CGROUPS / "cpu").is_dir():
        wanted = {
            f"cpu/{own}/cpu.shares": "102",
            f"cpu/{own}/cpu.cfs_quota_us": "30000",
            f"cpu/{own}/cpu.cfs_period_us": "100000",
            f"memory/{own}/memory.limit_in_bytes": str(64 * 2**20),
            f"cpu/{group}/cpu.shares": "102",
        }
    else:
        wanted = {f"{own}/cpu.max": "30000 100000", f"{own}/memory.max": str(64 * 2**20)}
    assert {path: (CGROUPS / path).read_text().strip() for path in wanted} == wanted
    assert score(CGROUPS, own) == 1000 - 1000 * 32 * 2**20 // memory(spec.kubectl)
    spec.kubectl("delete", "pod", "serves", "-n", spec.name)
    eventually(
        lambda: not list(CGROUPS.glob(f"*/{group}")) and not (CGROUPS / group).exists(),
        what="its cgroups are gone",
    )


def score(root: Path, group: str) -> int:
    """The oom_score_adj of a process in the group."""
    [procs, *_] = [*root.glob(f"*/{group}/cgroup.procs"), *root.glob(f"{group}/cgroup.procs")]
    pid = procs.read_text().split()[0]
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def memory(kubectl: Kubectl) -> int:
    [node] = kubectl.json("get", "nodes")["items"]
    return int(str(node["status"]["capacity"]["memory"]).removesuffix("Ki")) * 1024


def test_who_takes_more_memory_than_it_may_is_killed_for_it(spec: Spec) -> None:
    found = spec.when("oom", lambda found: state(found, "grows").get("terminated"))
    ended = state(found, "grows")["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    assert found["status"]["phase"] == "Failed"


# ---- how it ends, and what is refused


def test_a_stop_signal_of_its_own(spec: Spec) -> None:
    def last(found: Any) -> Any:
        [status] = found["status"].get("containerStatuses", [{}])
        return status.get("lastState", {}).get("terminated")

    assert last(spec.when("signalled", last))["exitCode"] == 7


def test_an_unsafe_sysctl_is_refused_by_the_node(spec: Spec) -> None:
    status = spec.when("unsafe", lambda found: found["status"]["phase"] == "Failed")["status"]
    text = 'forbidden sysctl: "kernel.msgmax" not allowlisted'
    assert (status["reason"], status["message"]) == ("SysctlForbidden", f"Pod was rejected: {text}")
    eventually(lambda: ("SysctlForbidden", text) in spec.events("unsafe"))


def test_a_runtime_class_is_the_engines_to_know(spec: Spec) -> None:
    def reason() -> list[str]:
        said = spec.events("classy")
        return [message for reason, message in said if reason == "FailedCreatePodSandBox"]

    [message, *_] = eventually(reason)
    assert re.search('no runtime for "no-such-handler" is configured', message)
    assert spec.get("classy")["spec"]["overhead"] == {"cpu": "10m"}
    code, _, stderr = spec.kubectl.result(
        "apply", "-n", spec.name, "-f", "-",
        stdin=json.dumps(pod("none", container("c", "true"), runtimeClassName="none")),
    )  # fmt: skip
    assert code == 1
    assert 'pods "none" is forbidden: pod rejected: RuntimeClass "none" not found' in stderr


def test_what_is_kept_with_sandboxes_and_containers_is_what_crictl_looks_for(
    spec: Spec, containerd: Containerd
) -> None:
    found = spec.when("shared", lambda found: state(found, "stays").get("running"))
    identity = found["status"]["containerStatuses"][-1]["containerID"].partition("://")[2]
    labels = json.loads(containerd.ctr("containers", "info", identity))["Labels"]
    expected = {
        "io.kubernetes.container.name": "stays",
        "io.kubernetes.pod.name": "shared",
        "io.kubernetes.pod.namespace": spec.name,
        "io.kubernetes.pod.uid": found["metadata"]["uid"],
    }
    assert {name: labels.get(name) for name in expected} == expected
    listed = containerd.ctr("containers", "ls", "-q", 'labels."tier"==one').split()
    sandboxes = [json.loads(containerd.ctr("containers", "info", one))["Labels"] for one in listed]
    assert found["metadata"]["uid"] in {one["io.kubernetes.pod.uid"] for one in sandboxes}
