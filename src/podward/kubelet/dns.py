"""What a Pod's /etc/resolv.conf says (dnsPolicy, dnsConfig). Pure.

There is no cluster DNS here: what counts on one gets the machine's, as of a kubelet that was told of no
`--cluster-dns`. `ClusterFirst` is what every Pod has that says nothing; so only who asks for
`ClusterFirstWithHostNet`, in so many words, is told of it (`MissingClusterDNS`).
"""

from collections.abc import Iterable

import msgspec
from lightkube.models import core_v1

from podward.kubelet.runtime.base import Dns

MAX_SERVERS = 3
"""What the C library reads."""
MAX_SEARCHES, MAX_SEARCH_LETTERS = 32, 2048

FALLBACK = (
    'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. '
    'Falling back to "Default" policy.'
)


class PodDns(msgspec.Struct, frozen=True):
    dns: Dns
    cluster_dns_missing: bool = False
    """The Pod asks for a cluster DNS."""
    omitted: tuple[str, ...] = ()
    """What a user is told of lines that were too long."""


def parse_resolv_conf(text: str) -> Dns:
    """Of search and options lines the last is valid, as the C library has it."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        match words[0]:
            case "nameserver" if len(words) > 1:
                servers.append(words[1])
            case "search":
                searches = [word if word == "." else word.removesuffix(".") for word in words[1:]]
            case "options":
                options = words[1:]
    return Dns(tuple(servers), tuple(searches), tuple(options))


def pod_dns(pod: core_v1.Pod, machine: Dns) -> PodDns:
    """`machine`: what this machine's own resolv.conf says."""
    spec = pod.spec
    assert spec is not None
    policy = spec.dnsPolicy or "ClusterFirst"
    base = Dns() if policy == "None" else machine
    extra = spec.dnsConfig or core_v1.PodDNSConfig()
    servers = _once((*base.servers, *(extra.nameservers or ())))
    searches = _once((*base.searches, *(extra.searches or ())))
    omitted = []
    if len(servers) > MAX_SERVERS:
        servers = servers[:MAX_SERVERS]
        omitted.append(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied "
            f"nameserver line is: {' '.join(servers)}"
        )
    fitting = _fitting(searches)
    if len(fitting) < len(searches):
        omitted.append(
            "Search Line limits were exceeded, some search paths have been omitted, the applied "
            f"search line is: {' '.join(fitting)}"
        )
    dns = Dns(servers, fitting, _merged(base.options, extra.options or ()))
    return PodDns(dns, policy == "ClusterFirstWithHostNet", tuple(omitted))


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _fitting(searches: tuple[str, ...]) -> tuple[str, ...]:
    kept = searches[:MAX_SEARCHES]
    while len(" ".join(kept)) > MAX_SEARCH_LETTERS:
        kept = kept[:-1]
    return kept


def _merged(options: Iterable[str], extra: Iterable[core_v1.PodDNSConfigOption]) -> tuple[str, ...]:
    """The Pod's own option replaces the machine's of that name."""
    values: dict[str, str | None] = {}
    for option in options:
        name, colon, value = option.partition(":")
        values[name] = value if colon else None
    values |= {option.name: option.value for option in extra if option.name}
    return tuple(f"{name}:{value}" if value else name for name, value in values.items())
