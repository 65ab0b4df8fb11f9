"""Services: stored and completed, answered for by nobody, and one that stands for the API server itself."""

from datetime import UTC, datetime
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.apiserver.support import EPOCH, Caller, started

from podward.admission.chain import AdmissionChain
from podward.api.scheme import SCHEME
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.apiserver.printers.table import printer_for
from podward.apiserver.strategies.service import UNSERVED
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.store.memory import MemoryStore

SERVICES = "/api/v1/namespaces/default/services"
MERGE = {"content-type": "application/merge-patch+json"}


def service(**spec: Any) -> dict[str, Any]:
    whole = {"ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": whole}


def test_a_service_is_completed_and_its_author_is_told_that_nothing_serves_it() -> None:
    async def scenario() -> None:
        call = await started()
        made = await call("POST", SERVICES, service(selector={"app": "web"}))
        assert made.status == 201
        assert UNSERVED in made.headers["warning"]
        assert made.json["spec"] == {
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            "selector": {"app": "web"},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        }
        assert made.json["status"] == {"loadBalancer": {}}

    run(scenario())


def test_headless_and_external_ones_are_kept_as_they_are() -> None:
    async def scenario() -> None:
        call = await started()
        headless = await call("POST", SERVICES, service(clusterIP="None", ports=None))
        assert headless.json["spec"]["clusterIPs"] == ["None"]
        external = service(type="ExternalName", externalName="a.example", ports=None)
        external["metadata"]["name"] = "away"
        made = await call("POST", SERVICES, external)
        assert made.json["spec"] == {
            "externalName": "a.example", "sessionAffinity": "None", "type": "ExternalName",
        }  # fmt: skip

    run(scenario())


def test_an_address_does_not_change_and_need_not_be_repeated() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", SERVICES, service(clusterIP="10.0.0.9"))
        patch = {"spec": {"clusterIP": "10.0.0.8", "clusterIPs": ["10.0.0.8"]}}
        changed = await call("PATCH", f"{SERVICES}/web", patch, headers=MERGE)
        assert changed.status == 422
        assert "may not change once set" in changed.json["message"]
        again = await call("PUT", f"{SERVICES}/web", service(ports=[{"port": 81}]))
        assert (again.json["spec"]["clusterIP"], again.json["spec"]["clusterIPs"]) == (
            "10.0.0.9", ["10.0.0.9"],
        )  # fmt: skip

    run(scenario())


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0"),
        ({"ports": [{"port": 70000}]}, "must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[1].name: Required value"),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]},
         'spec.ports[1].name: Duplicate value: "a"'),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
         "spec.ports[1]: Duplicate value"),
        ({"ports": [{"port": 1, "protocol": "ICMP"}]},
         'spec.ports[0].protocol: Unsupported value: "ICMP"'),
        ({"ports": [{"port": 1, "targetPort": "no--port"}]}, "spec.ports[0].targetPort"),
        ({"type": "Other"}, 'spec.type: Unsupported value: "Other"'),
        ({"sessionAffinity": "Other"}, 'spec.sessionAffinity: Unsupported value: "Other"'),
        ({"clusterIP": "nowhere"}, "must be a valid IP address"),
        ({"type": "NodePort", "clusterIP": "None"}, "may not be set to 'None' for NodePort services"),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        ({"type": "ExternalName", "externalName": "a_b"}, "spec.externalName: Invalid value"),
    ],
)  # fmt: skip
def test_what_is_no_service_is_refused(spec: dict[str, Any], cause: str) -> None:
    async def scenario() -> None:
        call = await started()
        refused = await call("POST", SERVICES, service(**spec))
        assert refused.status == 422
        assert cause in refused.json["message"]

    run(scenario())


def test_a_name_begins_with_a_letter() -> None:
    async def scenario() -> None:
        call = await started()
        named = service()
        named["metadata"]["name"] = "1web"
        assert "DNS-1035 label" in (await call("POST", SERVICES, named)).json["message"]

    run(scenario())


async def _server(store: MemoryStore, address: str) -> Caller:
    server = ApiServer(
        store, LoopClock(EPOCH), Entropy(1), admission=AdmissionChain([]), node_access=None,
        authenticate=lambda scope: SYSTEM, service_address=address,
    )  # fmt: skip
    await server.bootstrap()
    return Caller(server)


def test_the_api_server_has_one_where_all_pods_find_it_at_one_address() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        call = await _server(store, "127.96.0.1")
        first = await call("GET", f"{SERVICES}/kubernetes")
        assert first.json["spec"]["clusterIP"] == "127.96.0.1"
        [port] = first.json["spec"]["ports"]
        assert (port["name"], port["port"]) == ("https", 443)
        assert first.json["metadata"]["labels"]["component"] == "apiserver"
        again = await (await _server(store, "127.96.0.1"))("GET", f"{SERVICES}/kubernetes")
        assert again.json == first.json
        moved = await (await _server(store, "127.96.0.2"))("GET", f"{SERVICES}/kubernetes")
        assert moved.json["spec"]["clusterIP"] == "127.96.0.2"
        assert (await (await _server(store, ""))("GET", f"{SERVICES}/kubernetes")).status == 404

    run(scenario())


PORTS = [
    core_v1.ServicePort(80, protocol="TCP"),
    core_v1.ServicePort(443, nodePort=30443, protocol="TCP"),
]


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        (core_v1.ServiceSpec(type="ClusterIP"), ["ClusterIP", "<none>", "<none>", "<none>"]),
        (core_v1.ServiceSpec(type="ClusterIP", clusterIP="None", ports=PORTS[:1]),
         ["ClusterIP", "None", "<none>", "80/TCP"]),
        (core_v1.ServiceSpec(type="NodePort", ports=PORTS, externalIPs=["192.0.2.1"]),
         ["NodePort", "<none>", "192.0.2.1", "80/TCP,443:30443/TCP"]),
        (core_v1.ServiceSpec(type="LoadBalancer"), ["LoadBalancer", "<none>", "<pending>", "<none>"]),
        (core_v1.ServiceSpec(type="ExternalName", externalName="a.example"),
         ["ExternalName", "<none>", "a.example", "<none>"]),
    ],
)  # fmt: skip
def test_rows(spec: core_v1.ServiceSpec, shown: list[str]) -> None:
    printer = printer_for(SCHEME.of_type(core_v1.Service))
    assert [column.name for column in printer.columns] == [
        "Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector",
    ]  # fmt: skip
    meta = meta_v1.ObjectMeta(name="x", creationTimestamp=datetime(2026, 1, 1, tzinfo=UTC))
    spec.selector = {"b": "2", "a": "1"}
    row = printer.cells(
        core_v1.Service(metadata=meta, spec=spec), datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    )
    assert row == ["x", *shown, "5m", "a=1,b=2"]
