"""Presets as objects of the API: what of them changes, what is warned of, how they are shown."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.apiserver.support import Answer, Caller, started
from tests.apiserver.test_discovery import asked

from podward.api import codec
from podward.api.kinds import podward_v1alpha1
from podward.api.scheme import SCHEME
from podward.apiserver.printers.table import table_of
from podward.simulate.virtual_loop import run

SETTINGS = "/apis/settings.k8s.io/v1alpha1/namespaces/default/podpresets"
OWN = "/apis/podward.dev/v1alpha1/namespaces/default/podpresets"
CLUSTER = "/apis/podward.dev/v1alpha1/clusterpodpresets"
MERGE = {"content-type": "application/merge-patch+json"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
FROZEN = "spec of a PodPreset cannot be changed: delete it and create it again"
COMMAND = (
    "spec.containers[0].livenessProbe: a command is only put into containers that are chosen by "
    "match.images, and none are: it will be skipped"
)


def settings(value: str = "6379", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "allow-database", **more},
        "spec": {
            "selector": {"matchLabels": {"role": "frontend"}},
            "env": [{"name": "DB_PORT", "value": value}],
        },
    }


def own(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "health"},
        "spec": {"selector": {}, "labels": {"a": "b"}, **spec},
    }


def warned(answer: Answer) -> str:
    return answer.headers.get("warning", "")


# ---- settings.k8s.io


def test_a_stored_spec_never_changes_and_the_rest_does() -> None:
    async def main() -> None:
        api = await started()
        made = (await api("POST", SETTINGS, settings())).json
        assert made["metadata"]["generation"] == 1
        put = await api("PUT", f"{SETTINGS}/allow-database", settings("6380", labels={"team": "a"}))
        assert put.status == 200
        assert warned(put) == f'299 - "{FROZEN}"'
        after = (await api("GET", f"{SETTINGS}/allow-database")).json
        assert after == put.json
        assert after["spec"] == made["spec"]
        assert after["metadata"]["labels"] == {"team": "a"}
        assert after["metadata"]["generation"] == 1
        assert after["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]

    run(main())


def test_a_patch_of_the_spec_alone_changes_nothing_at_all() -> None:
    async def main() -> None:
        api = await started()
        made = (await api("POST", SETTINGS, settings())).json
        patch = {"spec": {"env": None, "volumes": [{"name": "v"}]}}
        patched = await api("PATCH", f"{SETTINGS}/allow-database", patch, headers=MERGE)
        assert (patched.status, patched.json) == (200, made)
        assert warned(patched) == f'299 - "{FROZEN}"'

    run(main())


@pytest.mark.parametrize(
    "body",
    [settings(labels={"a": "b"}), settings(resourceVersion="")],
    ids=["labels", "nothing"],
)
def test_an_update_that_leaves_the_spec_alone_is_not_warned_of(body: dict[str, Any]) -> None:
    async def main() -> None:
        api = await started()
        await api("POST", SETTINGS, settings())
        put = await api("PUT", f"{SETTINGS}/allow-database", body)
        assert (put.status, warned(put)) == (200, "")

    run(main())


def test_what_the_server_completed_is_no_change() -> None:
    async def main() -> None:
        api = await started()
        body = settings()
        body["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "s"}}]
        await api("POST", SETTINGS, body)
        put = await api("PUT", f"{SETTINGS}/allow-database", body)
        assert (put.status, warned(put)) == (200, "")
        assert put.json["spec"]["volumes"][0]["secret"]["defaultMode"] == 420

    run(main())


def test_an_absent_preset_is_not_created_by_an_update() -> None:
    async def main() -> None:
        api = await started()
        for base in (SETTINGS, OWN):
            assert (await api("PUT", f"{base}/allow-database", settings())).status == 404

    run(main())


def test_an_invalid_preset_is_told_of_as_it_always_was() -> None:
    async def main() -> None:
        api = await started()
        refused = await api("POST", SETTINGS, {"metadata": {"name": "cal"}})
        assert refused.status == 422
        field, detail = "spec.volumes.env.envFrom.volumeMounts", "must specify at least one"
        message = f"Required value: {detail}"
        status = refused.json
        assert status["message"] == (
            f'PodPreset.settings.k8s.io "cal" is invalid: {field}: {message}'
        )
        assert status["details"] == {
            "name": "cal",
            "group": "settings.k8s.io",
            "kind": "PodPreset",
            "causes": [{"reason": "FieldValueRequired", "message": message, "field": field}],
        }

    run(main())


# ---- podward.dev


def test_changes_of_our_spec_are_counted_and_status_is_another_matter() -> None:
    async def main() -> None:
        api = await started()
        made = await api("POST", OWN, {**own(), "status": {"matchedPods": 7}})
        assert made.json["metadata"]["generation"] == 1
        assert "status" not in made.json
        status = {"metadata": {"name": "health"}, "status": {"matchedPods": 3}}
        said = await api("PUT", f"{OWN}/health/status", status)
        assert said.json["status"] == {"matchedPods": 3}
        assert said.json["spec"] == made.json["spec"]
        assert said.json["metadata"]["generation"] == 1
        changed = await api("PATCH", f"{OWN}/health", {"spec": {"priority": 4}, "status": None},
                            headers=MERGE)  # fmt: skip
        assert changed.json["metadata"]["generation"] == 2
        assert changed.json["status"] == {"matchedPods": 3}

    run(main())


def test_a_preset_of_the_cluster_has_no_namespace() -> None:
    async def main() -> None:
        api = await started()
        made = await api("POST", CLUSTER, own(namespaceSelector={}))
        assert made.status == 201
        assert "namespace" not in made.json["metadata"]
        assert (await api("GET", f"{CLUSTER}/health")).json == made.json
        assert (await api("GET", CLUSTER)).json["items"] == [made.json]

    run(main())


def test_the_two_kinds_of_one_name_do_not_meet() -> None:
    async def main() -> None:
        api = await started()
        await api("POST", SETTINGS, settings())
        assert (await api("GET", f"{OWN}/allow-database")).status == 404
        wrong = await api("POST", OWN, {**settings(), "apiVersion": "settings.k8s.io/v1alpha1",
                                        "kind": "PodPreset"})  # fmt: skip
        assert wrong.status == 400

    run(main())


# ---- warnings of what is legal


def section(**items: Any) -> dict[str, Any]:
    return {"containers": [items]}


@pytest.mark.parametrize(
    ("base", "spec", "expected"),
    [
        (SETTINGS, {"env": [{"name": "A"}]},
         ["spec.selector is empty: it selects every Pod of the namespace"]),
        (SETTINGS, {"selector": {"matchLabels": {"a": "b"}},
                    "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"},
                            {"name": "B"}, {"name": "B"}]},
         ["spec.env names A twice and differently: it conflicts with itself"]),
        (SETTINGS, {"selector": {"matchLabels": {"a": "b"}}, "volumes": [{"name": "v"}],
                    "volumeMounts": [{"name": "v", "mountPath": "/a"},
                                     {"name": "v", "mountPath": "/a/"}]},
         ["spec.volumeMounts: /a and /a/ are one path: it conflicts with itself"]),
        (OWN, section(livenessProbe={"value": {"exec": {"command": ["a"]}}}), [COMMAND]),
        (OWN, section(match={"images": ["a"]}, livenessProbe={"value": {"exec": {"command": ["a"]}}}), []),
        (OWN, section(livenessProbe={"value": {"tcpSocket": {"port": 1}}}), []),
        (CLUSTER, section(lifecycle={"value": {"preStop": {"exec": {"command": ["a"]}}}}),
         [COMMAND.replace("livenessProbe", "lifecycle.value.preStop")]),
    ],
    ids=["no selector", "a variable of two values", "one path in two spellings", "a command",
         "a command for an image", "a port", "a command in a hook"],
)  # fmt: skip
def test_what_is_legal_and_odd_is_warned_of(
    base: str, spec: dict[str, Any], expected: list[str]
) -> None:
    async def main() -> None:
        api = await started()
        if base != SETTINGS:
            spec.setdefault("selector", {})
        made = await api("POST", base, {"metadata": {"name": "p"}, "spec": spec})
        assert made.status == 201
        assert warned(made) == ", ".join(f'299 - "{text}"' for text in expected)

    run(main())


def test_a_change_of_ours_is_warned_of_again_and_a_label_is_not() -> None:
    probing = own(**section(livenessProbe={"value": {"exec": {"command": ["a"]}}}))

    async def main() -> None:
        api = await started()
        await api("POST", OWN, probing)
        changed = await api("PATCH", f"{OWN}/health", {"spec": {"priority": 1}}, headers=MERGE)
        assert COMMAND in warned(changed)
        label = {"metadata": {"labels": {"a": "b"}}}
        assert warned(await api("PATCH", f"{OWN}/health", label, headers=MERGE)) == ""

    run(main())


# ---- how they are shown


async def rows(api: Caller, base: str) -> tuple[list[str], list[list[Any]]]:
    table = (await api("GET", base, headers=TABLE)).json
    names = [column["name"].upper() for column in table["columnDefinitions"]]
    return names, [row["cells"] for row in table["rows"]]


def test_a_row_of_the_old_kind_is_the_old_row() -> None:
    async def main() -> None:
        api = await started()
        await api("POST", SETTINGS, settings())
        assert await rows(api, SETTINGS) == (
            ["NAME", "CREATED AT"],
            [["allow-database", "2026-01-01T00:00:00Z"]],
        )

    run(main())


def test_a_row_of_ours_says_what_became_of_the_preset() -> None:
    async def main() -> None:
        api = await started()
        await api("POST", OWN, own())
        await asyncio.sleep(5)
        columns = ["NAME", "PRIORITY", "ON-CONFLICT", "VALID", "MATCHED", "CURRENT", "STALE", "AGE"]
        assert await rows(api, OWN) == (
            columns, [["health", 0, "SkipAll", "", "", "", "", "5s"]]
        )  # fmt: skip

    run(main())


def test_a_row_with_a_status_counts() -> None:
    row = SCHEME.of_type(podward_v1alpha1.ClusterPodPreset)
    document = {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"priority": -1, "onConflict": "Reject"},
        "status": {
            "conditions": [{"type": "Effective", "status": "False"}, {"type": "Valid", "status": "True"}],
            "matchedPods": 2, "currentPods": 0, "stalePods": 2,
        },
    }  # fmt: skip
    preset = codec.decode_builtins(document, row, "Strict")[0]
    table = table_of(row, [preset], datetime(2026, 1, 1, tzinfo=UTC), metadata={})
    assert table["rows"][0]["cells"] == ["p", -1, "Reject", "True", "2", "0", "2", "0s"]


def test_the_types_of_our_group_are_named_after_it() -> None:
    schemas = asked("/openapi/v3/apis/podward.dev/v1alpha1").json["components"]["schemas"]
    assert {
        "dev.podward.v1alpha1.PodPreset",
        "dev.podward.v1alpha1.ProbePreset",
        "io.k8s.api.core.v1.Probe",
    } <= set(schemas)
    match = schemas["dev.podward.v1alpha1.ContainerMatch"]["properties"]
    assert set(match) == {"class", "images", "names", "ports"}
    assert all(field["description"] for field in match.values())
    old = asked("/openapi/v3/apis/settings.k8s.io/v1alpha1").json["components"]["schemas"]
    assert "io.k8s.api.settings.v1alpha1.PodPreset" in old


def test_the_old_kind_is_found_before_ours() -> None:
    groups = [group["name"] for group in asked("/apis").json["groups"]]
    assert groups.index("settings.k8s.io") < groups.index("podward.dev")
