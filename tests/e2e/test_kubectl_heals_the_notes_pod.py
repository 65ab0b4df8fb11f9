"""The mission, for real: the field note's Pod through unmodified kubectls, on the process runtime."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from tests.e2e.support import ROOT, Kubectl, Podward, eventually

NOTE_POD = (ROOT / "examples/01-liveness/pod.yaml").read_text()

# The note's Pod with shorter spans, so that a test sees several cycles.
QUICK_POD = """
apiVersion: v1
kind: Pod
metadata: {name: quick, labels: {test: liveness}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: liveness
    image: busybox
    args: [/bin/sh, -c, "touch /tmp/healthy; sleep 2; rm -rf /tmp/healthy; sleep 600"]
    livenessProbe:
      exec: {command: [cat, /tmp/healthy]}
      periodSeconds: 1
      failureThreshold: 2
"""

SLEEPER = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper, labels: {app: sleeper}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    command: [/bin/sh, -c, "echo out; echo err >&2; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
"""


def test_apply_says_created_then_unchanged_then_configured(
    kubectl: Kubectl, namespace: str
) -> None:
    assert kubectl.apply(SLEEPER, "-n", namespace) == "pod/sleeper created\n"
    assert kubectl.apply(SLEEPER, "-n", namespace) == "pod/sleeper unchanged\n"
    changed = SLEEPER.replace("app: sleeper", "app: changed")
    assert kubectl.apply(changed, "-n", namespace) == "pod/sleeper configured\n"


def test_an_unhealthy_container_is_killed_and_restarted(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(QUICK_POD, "-n", namespace)
    kubectl("wait", "--for=condition=Ready", "pod/quick", "-n", namespace, "--timeout=20s")

    def restarted() -> bool:
        pod = kubectl.json("get", "pod", "quick", "-n", namespace)
        return bool(pod["status"]["containerStatuses"][0]["restartCount"] >= 1)

    eventually(restarted, timeout=25, what="a restart")
    pod = kubectl.json("get", "pod", "quick", "-n", namespace)
    last = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "Error")

    described = kubectl("describe", "pod", "quick", "-n", namespace)
    events = described.split("Events:")[1]
    reasons = [line.split()[1] for line in events.strip().splitlines()[2:]]
    assert reasons[0] == "Scheduled"
    assert {"Pulled", "Created", "Started", "Unhealthy", "Killing"} <= set(reasons)
    assert "Liveness probe failed: cat: /tmp/healthy: No such file or directory" in events
    assert "Container liveness failed liveness probe, will be restarted" in events


def test_describe_has_the_sections_of_a_real_cluster_in_order(
    kubectl: Kubectl, namespace: str
) -> None:
    kubectl.apply(NOTE_POD, "-n", namespace)
    kubectl(
        "wait", "--for=condition=Ready", "pod/test-liveness-exec", "-n", namespace, "--timeout=20s"
    )
    described = kubectl("describe", "pod", "test-liveness-exec", "-n", namespace)
    wanted = [
        "Name:", "Namespace:", "Priority:", "Node:", "Start Time:", "Labels:", "Annotations:",
        "Status:", "IP:", "IPs:", "Containers:", "  liveness:", "    Container ID:", "    Image:",
        "    Image ID:", "    Port:", "    Host Port:", "    Args:", "    State:", "      Started:",
        "    Ready:", "    Restart Count:", "    Liveness:", "    Environment:", "    Mounts:",
        "Conditions:", "  Initialized", "  Ready", "  ContainersReady", "  PodScheduled",
        "QoS Class:", "Node-Selectors:", "Tolerations:", "Events:",
    ]  # fmt: skip
    positions = [described.find(f"\n{line}") for line in wanted[1:]]
    assert -1 not in positions, wanted[1:][positions.index(-1)] + "\n" + described
    assert positions == sorted(positions), described
    assert (
        "Liveness:       exec [cat /tmp/healthy] delay=5s timeout=1s period=5s #success=1 #failure=3"
        in described
    )
    assert re.search(r"Normal +Started +\S+ +kubelet +", described)


def test_get_wide_has_the_columns_of_the_note(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(SLEEPER, "-n", namespace)
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")
    header, row = kubectl("get", "pod", "-o", "wide", "-n", namespace).splitlines()
    columns = "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"
    assert " ".join(header.split()) == columns
    assert re.fullmatch(
        r"sleeper +1/1 +Running +0 +\d+s +[\d.]+ +node-1 +<none> +<none>", row.strip()
    )


def test_watch_prints_a_line_for_each_change(kubectl: Kubectl, namespace: str) -> None:
    with kubectl.background("get", "pod", "-n", namespace, "--watch", "-o", "wide") as watch:
        time.sleep(1)
        kubectl.apply(SLEEPER, "-n", namespace)
        kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")
        kubectl("delete", "pod", "sleeper", "-n", namespace)
        watch.terminate()
        assert watch.stdout is not None
        lines = watch.stdout.read()
    statuses = [line.split()[2] for line in lines.splitlines() if line.startswith("sleeper")]
    assert [s for i, s in enumerate(statuses) if s != statuses[i - 1] or i == 0][:3] == [
        "Pending", "ContainerCreating", "Running",
    ]  # fmt: skip
    assert "Terminating" in statuses


def test_get_yaml_shows_the_defaulted_pod_with_its_status(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(NOTE_POD, "-n", namespace)
    kubectl(
        "wait", "--for=condition=Ready", "pod/test-liveness-exec", "-n", namespace, "--timeout=20s"
    )
    text = kubectl("get", "pod", "test-liveness-exec", "-n", namespace, "-o", "yaml")
    for line in (
        "      failureThreshold: 3",
        "      successThreshold: 1",
        "      timeoutSeconds: 1",
        "    resources: {}",
        "    terminationMessagePath: /dev/termination-log",
        "  dnsPolicy: ClusterFirst",
        "  nodeName: node-1",
        "  restartPolicy: Always",
        "  securityContext: {}",
        "  terminationGracePeriodSeconds: 30",
        "  - lastProbeTime: null",
        "  qosClass: BestEffort",
        "    started: true",
    ):
        assert f"\n{line}\n" in text, f"{line!r} not in\n{text}"


def test_logs_show_both_streams_and_follow(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(SLEEPER, "-n", namespace)
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")
    eventually(lambda: kubectl("logs", "sleeper", "-n", namespace) == "out\nerr\n")
    assert kubectl("logs", "sleeper", "-n", namespace, "--tail=1") == "err\n"
    stamped = kubectl("logs", "sleeper", "-n", namespace, "--timestamps").splitlines()
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z (out|err)$", line) for line in stamped
    )
    with kubectl.background("logs", "-f", "sleeper", "-n", namespace) as follower:
        time.sleep(0.5)
        kubectl("delete", "pod", "sleeper", "-n", namespace)
        assert follower.stdout is not None
        assert follower.stdout.read() == "out\nerr\n"


def test_get_events_lists_the_life_of_the_pod(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(SLEEPER, "-n", namespace)
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")

    def reasons() -> bool:
        lines = kubectl("get", "events", "-n", namespace).splitlines()
        assert lines[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
        return {line.split()[2] for line in lines[1:]} >= {
            "Scheduled",
            "Pulled",
            "Created",
            "Started",
        }

    eventually(reasons)


def test_delete_waits_for_the_pod_to_be_gone(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(SLEEPER, "-n", namespace)
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")
    text = kubectl("delete", "pod", "sleeper", "-n", namespace)
    assert text.startswith('pod "sleeper" deleted')
    code, _, error = kubectl.result("get", "pod", "sleeper", "-n", namespace)
    assert (code, error) == (1, 'Error from server (NotFound): pods "sleeper" not found\n')


def test_explain_knows_the_probe(kubectl: Kubectl) -> None:
    text = kubectl("explain", "pod.spec.containers.livenessProbe")
    assert "KIND:" in text
    assert "periodSeconds" in text
    assert "<integer>" in text


def test_api_resources_lists_what_is_served(kubectl: Kubectl) -> None:
    lines = {line.split()[0]: line for line in kubectl("api-resources").splitlines()}
    assert {"pods", "nodes", "events", "namespaces", "configmaps", "secrets", "leases"} <= set(
        lines
    )
    assert " po " in lines["pods"]


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        (["sh", "-c", "echo hello; exit 3"], 3, "hello\n"),
        (["true"], 0, ""),
        (["sh", "-c", "echo to stderr >&2"], 0, "to stderr\n"),
    ],
)
def test_exec_passes_output_and_exit_code_on(
    recent_kubectl: Kubectl, namespace: str, command: list[str], code: int, output: str
) -> None:
    recent_kubectl.apply(SLEEPER, "-n", namespace)
    recent_kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")
    got, out, err = recent_kubectl.result("exec", "sleeper", "-n", namespace, "--", *command)
    assert got == code
    assert output in (out, err)


def test_exec_with_stdin_and_in_the_containers_namespaces(
    recent_kubectl: Kubectl, namespace: str
) -> None:
    recent_kubectl.apply(SLEEPER, "-n", namespace)
    recent_kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")
    code, out, _ = recent_kubectl.result(
        "exec",
        "-i",
        "sleeper",
        "-n",
        namespace,
        "--",
        "sh",
        "-c",
        "cat; echo $HOSTNAME",
        stdin="typed\n",
    )
    assert (code, out) == (0, "typed\nsleeper\n")


def test_exec_gives_a_terminal(recent_kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    recent_kubectl.apply(SLEEPER, "-n", namespace)
    recent_kubectl("wait", "--for=condition=Ready", "pod/sleeper", "-n", namespace, "--timeout=20s")
    command = (
        f"{recent_kubectl.binary} exec -it sleeper -n {namespace} -- sh -c 'tty; stty size; exit 7'"
    )
    # `script` gives kubectl the terminal that it insists on, and its exit code back.
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True, text=True, timeout=30, env={**recent_kubectl.env, "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "/dev/pts/" in done.stdout
    assert done.returncode == 7


def test_podward_get_watch_prints_what_the_note_shows(podward: Podward, namespace: str) -> None:
    quick = QUICK_POD.replace("sleep 2; rm", "rm")  # fails at once: soon in CrashLoopBackOff
    podward.cli("apply", "-n", namespace, "-f", "-", input=quick)

    def line() -> str:
        return podward.cli("get", "pod", "quick", "-n", namespace, "-o", "wide").splitlines()[1]

    def crash_looping() -> bool:
        return bool(
            re.match(
                r"quick +0/1 +CrashLoopBackOff +\d+ \(\d+s ago\) +\S+ +[\d.]+ +node-1 +<none> +<none>$",
                line(),
            )
        )

    eventually(crash_looping, timeout=40, what="CrashLoopBackOff with its age")
