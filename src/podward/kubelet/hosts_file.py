"""The /etc/hosts of a Pod's containers, which the kubelet writes: hostAliases live there. Pure."""

from collections.abc import Sequence

from lightkube.models import core_v1

from podward.kubelet.sandbox_config import domain_of, hostname_of

HOSTS_PATH = "/etc/hosts"

_OWN = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
_MACHINES = "# Kubernetes-managed hosts file (host network).\n"
_ALIASES = "\n# Entries added by HostAliases.\n"


def hosts_file(pod: core_v1.Pod, ips: Sequence[str], machines: str | None) -> str:
    """`ips`: the Pod's. `machines`: this machine's own file, for a Pod that lives in its network."""
    spec = pod.spec
    assert spec is not None
    if machines is not None:
        text = _MACHINES + machines
    else:
        name, domain = hostname_of(pod), domain_of(pod)
        names = f"{name}.{domain}\t{name}" if domain else name
        text = _OWN + "".join(f"{ip}\t{names}\n" for ip in ips)
    if spec.hostAliases:
        lines = ("\t".join((one.ip, *(one.hostnames or ()))) for one in spec.hostAliases)
        text += _ALIASES + "".join(f"{line}\n" for line in lines)
    return text


def mounts_own(container: core_v1.Container) -> bool:
    """The container brings a file of its own."""
    return any(mount.mountPath == HOSTS_PATH for mount in container.volumeMounts or ())
