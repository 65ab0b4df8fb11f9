"""What a Pod's /etc/resolv.conf says."""

from typing import Any

import pytest
from tests.kubelet.pod_support import made_pod

from podward.kubelet.dns import parse_resolv_conf, pod_dns
from podward.kubelet.runtime.base import Dns

MACHINE = Dns(("10.0.0.1", "10.0.0.2"), ("corp.example",), ("ndots:2", "rotate"))


def test_a_machines_file_is_read_as_the_c_library_reads_it() -> None:
    text = """
# made by hand
; too
nameserver 10.0.0.1
search  early.example
nameserver\t10.0.0.2   # first
search a.example. . b.example
options ndots:1
options ndots:2 rotate
nameserver
sortlist 1.2.3.4
"""
    assert parse_resolv_conf(text) == Dns(
        ("10.0.0.1", "10.0.0.2"), ("a.example", ".", "b.example"), ("ndots:2", "rotate")
    )
    assert parse_resolv_conf("") == Dns()


@pytest.mark.parametrize(
    ("spec", "dns", "missing"),
    [
        ({}, MACHINE, False),
        ({"dnsPolicy": "ClusterFirst"}, MACHINE, False),
        ({"dnsPolicy": "Default"}, MACHINE, False),
        ({"hostNetwork": True}, MACHINE, False),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, MACHINE, True),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["x"]}},
            Dns(("9.9.9.9",), ("x",)),
            False,
        ),
        (
            {
                "dnsPolicy": "Default",
                "dnsConfig": {
                    "nameservers": ["10.0.0.2", "9.9.9.9"],
                    "searches": ["x.example", "corp.example"],
                    "options": [{"name": "ndots", "value": "5"}, {"name": "edns0"}],
                },
            },
            Dns(
                ("10.0.0.1", "10.0.0.2", "9.9.9.9"),
                ("corp.example", "x.example"),
                ("ndots:5", "rotate", "edns0"),
            ),
            False,
        ),
    ],
)
def test_policies(spec: dict[str, Any], dns: Dns, missing: bool) -> None:
    found = pod_dns(made_pod(**spec), MACHINE)
    assert (found.dns, found.cluster_dns_missing, found.omitted) == (dns, missing, ())


def test_what_the_c_library_has_no_room_for_is_left_out_and_said() -> None:
    config = {
        "nameservers": ["1.1.1.1", "2.2.2.2"],
        "searches": [f"s{number}" for number in range(40)],
    }
    found = pod_dns(made_pod(dnsPolicy="Default", dnsConfig=config), MACHINE)
    assert found.dns.servers == ("10.0.0.1", "10.0.0.2", "1.1.1.1")
    assert len(found.dns.searches) == 32
    servers, searches = found.omitted
    assert servers == (
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver "
        "line is: 10.0.0.1 10.0.0.2 1.1.1.1"
    )
    assert searches.endswith("the applied search line is: " + " ".join(found.dns.searches))


def test_a_search_list_has_2048_letters() -> None:
    long = [f"{letter * 200}.x" for letter in "abcdefghijkl"]
    found = pod_dns(made_pod(dnsPolicy="Default", dnsConfig={"searches": long}), Dns())
    assert list(found.dns.searches) == long[:10]
    assert len(found.omitted) == 1
