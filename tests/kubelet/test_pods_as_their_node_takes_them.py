"""Pods that their node cannot run, and what the kubelet makes for those it runs, in virtual time."""

from typing import Any

from tests.kubelet.support import events, live, pod, shell, states

from podward.simulate.simulation import Recording

SLEEPS = [{"command": shell("sleep 600")}]
UNSAFE = {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}
TEXT = 'forbidden sysctl: "kernel.msgmax" not allowlisted'


def last(recording: Recording) -> Any:
    return recording.changes[-1].pod.status


def test_a_pod_that_its_node_must_not_run_fails_at_once_and_nothing_of_it_starts() -> None:
    recording = live(pod(SLEEPS, securityContext=UNSAFE), 200)
    assert events(recording, "SysctlForbidden", "Started", "FailedCreatePodSandBox") == [
        (events(recording, "SysctlForbidden")[0][0], "SysctlForbidden", TEXT)
    ]
    status = last(recording)
    assert (status.phase, status.reason) == ("Failed", "SysctlForbidden")
    assert status.message == f"Pod was rejected: {TEXT}"
    assert not status.containerStatuses


def test_a_pod_of_another_operating_system_is_rejected() -> None:
    recording = live(pod(SLEEPS, os={"name": "windows"}), 20)
    status = last(recording)
    text = "Failed to admit pod as the OS field doesn't match node OS"
    assert (status.phase, status.reason) == ("Failed", "PodOSNotSupported")
    assert status.message == f"Pod was rejected: {text}"
    assert events(recording, "PodOSNotSupported", "Started")[0][1:] == ("PodOSNotSupported", text)
    assert states(live(pod(SLEEPS, os={"name": "linux"}), 20), "a")[-1][1] == "running"


def test_a_pod_with_safe_ones_runs() -> None:
    safe = {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}
    assert states(live(pod(SLEEPS, securityContext=safe), 20), "a")[-1][1] == "running"


def test_a_runtime_that_does_not_care_who_runs_asks_nobody() -> None:
    recording = live(pod(SLEEPS, securityContext={"runAsNonRoot": True}), 20)
    assert states(recording, "a")[-1][1] == "running"
    assert events(recording, "MissingClusterDNS") == []


def test_aliases_are_in_the_hosts_file_where_all_pods_live_in_the_machines_network() -> None:
    tells = {"command": shell("cat /etc/hosts > /dev/termination-log")}
    aliases = [{"ip": "10.1.2.3", "hostnames": ["a.local", "b.local"]}]
    recording = live(pod([tells], hostAliases=aliases, restartPolicy="Never"), 20)
    [status] = last(recording).containerStatuses
    message = status.state.terminated.message
    assert message.startswith("# Kubernetes-managed hosts file (host network).\n")
    assert message.endswith("\n# Entries added by HostAliases.\n10.1.2.3\ta.local\tb.local\n")
