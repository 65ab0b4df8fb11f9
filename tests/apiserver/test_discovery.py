"""What the server says of itself: discovery and OpenAPI, as clients read them."""

import json
from collections.abc import Iterator
from typing import Any

from tests.apiserver.support import EPOCH, Answer, Caller

from podward.admission.chain import AdmissionChain
from podward.api.scheme import SCHEME
from podward.apiserver import discovery, openapi
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.store.memory import MemoryStore

PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def asked(path: str, **headers: str) -> Answer:
    async def main() -> Answer:
        server = ApiServer(
            MemoryStore(), LoopClock(EPOCH), Entropy(1), admission=AdmissionChain([]),
            node_access=None, authenticate=lambda scope: SYSTEM,
            extra_routes={**discovery.routes(SCHEME), **openapi.routes(SCHEME)},
        )  # fmt: skip
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await Caller(server)("GET", path, headers=named)

    return run(main())


def kinds_of(resources: Any) -> set[str]:
    return {row["kind"] for row in resources if "/" not in row["name"]}


def test_every_kind_of_the_scheme_is_discovered() -> None:
    found = kinds_of(asked("/api/v1").json["resources"])
    for group in asked("/apis").json["groups"]:
        version = group["preferredVersion"]["groupVersion"]
        found |= kinds_of(asked(f"/apis/{version}").json["resources"])
    assert found == {row.kind for row in SCHEME}


def test_aggregated_discovery_says_it_in_one_answer() -> None:
    for path in ("/api", "/apis"):
        answer = asked(path, accept=AGGREGATED)
        assert answer.json["kind"] == "APIGroupDiscoveryList"
        assert "as=APIGroupDiscoveryList" in answer.headers["content-type"]


def test_a_client_that_has_it_already_gets_nothing() -> None:
    first = asked("/openapi/v3")
    assert first.status == 200
    again = asked("/openapi/v3", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert first.headers["cache-control"] == "public"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for below in value.values():
            yield from references(below)
    elif isinstance(value, list):
        for below in value:
            yield from references(below)


def described_kinds(schemas: Any) -> set[str]:
    marked = (schema.get("x-kubernetes-group-version-kind", ()) for schema in schemas.values())
    return {entry["kind"] for entries in marked for entry in entries}


def test_openapi_v3_describes_every_kind_and_all_that_it_refers_to() -> None:
    kinds: set[str] = set()
    for entry in asked("/openapi/v3").json["paths"].values():
        document = asked(entry["serverRelativeURL"].partition("?")[0]).json
        schemas = document["components"]["schemas"]
        kinds |= described_kinds(schemas)
        missing = {r for r in references(document) if r.rpartition("/")[2] not in schemas}
        assert missing == set()
    assert {row.kind for row in SCHEME} <= kinds


def test_openapi_v2_describes_every_kind_and_all_that_it_refers_to() -> None:
    document = asked("/openapi/v2").json
    assert {row.kind for row in SCHEME} <= described_kinds(document["definitions"])
    missing = {
        r for r in references(document) if r.rpartition("/")[2] not in document["definitions"]
    }
    assert missing == set()


def test_openapi_v2_is_served_as_protobuf_to_old_clients() -> None:
    answer = asked("/openapi/v2", accept=PROTOBUF)
    # kubectl 1.20 looks for this spelling, with a dot where it itself wrote "@".
    assert answer.headers["content-type"] == PROTOBUF.replace("@", ".")
    assert answer.body[:1] != b"{"
    assert json.loads(asked("/openapi/v2").body)["swagger"] == "2.0"
