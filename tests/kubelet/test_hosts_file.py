"""The /etc/hosts that the kubelet writes."""

from tests.kubelet.pod_support import first, made_pod

from podward.kubelet.hosts_file import hosts_file, mounts_own

HEAD = (
    "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
)
ALIASES = [{"ip": "10.1.2.3", "hostnames": ["a.local", "b.local"]}, {"ip": "10.1.2.4"}]
WRITTEN = "\n# Entries added by HostAliases.\n10.1.2.3\ta.local\tb.local\n10.1.2.4\n"


def test_a_pod_finds_itself() -> None:
    assert hosts_file(made_pod(), ["10.0.0.7"], None) == f"{HEAD}10.0.0.7\tweb\n"


def test_by_all_its_addresses_and_its_full_name() -> None:
    pod = made_pod(hostname="db", subdomain="set")
    assert hosts_file(pod, ["10.0.0.7", "fd00::7"], None) == (
        f"{HEAD}10.0.0.7\tdb.set.default.svc.cluster.local\tdb\n"
        "fd00::7\tdb.set.default.svc.cluster.local\tdb\n"
    )


def test_aliases_come_last() -> None:
    pod = made_pod(hostAliases=ALIASES)
    assert hosts_file(pod, ["10.0.0.7"], None) == f"{HEAD}10.0.0.7\tweb\n{WRITTEN}"


def test_in_the_machines_network_its_own_file_is_taken() -> None:
    head = "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"
    pod = made_pod(hostNetwork=True)
    assert hosts_file(pod, ["192.0.2.2"], "127.0.0.1 localhost\n") == head
    pod = made_pod(hostNetwork=True, hostAliases=ALIASES)
    assert hosts_file(pod, ["192.0.2.2"], "127.0.0.1 localhost\n") == head + WRITTEN


def test_a_container_may_bring_its_own() -> None:
    volumes = [{"name": "v", "emptyDir": {}}]
    own = made_pod({"volumeMounts": [{"name": "v", "mountPath": "/etc/hosts"}]}, volumes=volumes)
    other = made_pod({"volumeMounts": [{"name": "v", "mountPath": "/etc"}]}, volumes=volumes)
    assert mounts_own(first(own))
    assert not mounts_own(first(other))
