"""What a cluster is given: whole, well formed, and no right too many."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from lightkube.models import (
    admissionregistration_v1,
    apiextensions_v1,
    apps_v1,
    core_v1,
    policy_v1,
    rbac_v1,
)

from podward.admission.plugins.pod_preset.model import EXCLUDE_ANNOTATION, MIRROR_ANNOTATION
from podward.api.codec import decode_builtins
from podward.api.kinds import podward_v1alpha1
from podward.api.scheme import SCHEME
from podward.apiserver.printers.table import printer_for
from podward.webhook.manifest_options import ManifestOptions
from podward.webhook.manifests import Outside, manifests, webhook_configurations
from podward.webhook.naming import Installation

CLASSES: dict[tuple[str, str], type[Any]] = {
    ("v1", "Namespace"): core_v1.Namespace,
    ("v1", "ServiceAccount"): core_v1.ServiceAccount,
    ("v1", "Service"): core_v1.Service,
    ("apps/v1", "Deployment"): apps_v1.Deployment,
    ("policy/v1", "PodDisruptionBudget"): policy_v1.PodDisruptionBudget,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): apiextensions_v1.CustomResourceDefinition,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): rbac_v1.ClusterRole,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): rbac_v1.ClusterRoleBinding,
    ("rbac.authorization.k8s.io/v1", "Role"): rbac_v1.Role,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): rbac_v1.RoleBinding,
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"):
        admissionregistration_v1.MutatingWebhookConfiguration,
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"):
        admissionregistration_v1.ValidatingWebhookConfiguration,
}  # fmt: skip

PLAIN = ManifestOptions("podward:test")
OWN = Installation("guards", "presets")
VARIANTS = {
    "plain": PLAIN,
    "everything": ManifestOptions(
        "podward:test", OWN, 3, "Fail", 2, self_managed=True, mode="compat", legacy=True, count_pods=True
    ),
    "cert-manager": ManifestOptions("podward:test", OWN, self_managed=False),
}  # fmt: skip


def documents(options: ManifestOptions) -> list[dict[str, Any]]:
    return [manifest.document for manifest in manifests(options)]


def of_kind(options: ManifestOptions, kind: str, name: str = "") -> dict[str, Any]:
    found = [
        document
        for document in documents(options)
        if document["kind"] == kind and document["metadata"]["name"].endswith(name)
    ]
    return found[0]


def without_nothing(value: Any) -> Any:
    """Fields that are there, `None` left out: as a decoder sees it."""
    if isinstance(value, dict):
        return {k: without_nothing(v) for k, v in value.items() if v is not None}
    return [without_nothing(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_document_is_what_its_kind_allows(options: ManifestOptions) -> None:
    """Decoded and encoded again it is the same: no field is unknown, none has another type."""
    decoded = 0
    for document in documents(options):
        if document["apiVersion"].startswith("cert-manager.io/"):
            continue
        struct = CLASSES[document["apiVersion"], document["kind"]]
        read = msgspec.convert(document, struct, strict=True)
        assert without_nothing(msgspec.to_builtins(read)) == without_nothing(document)
        decoded += 1
    assert decoded >= 17


def test_the_check_above_notices_an_unknown_field() -> None:
    document = of_kind(PLAIN, "Deployment")
    document["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    read = msgspec.convert(document, apps_v1.Deployment, strict=True)
    assert without_nothing(msgspec.to_builtins(read)) != without_nothing(document)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_podwards_own_server_takes_what_it_serves(options: ManifestOptions) -> None:
    served = [
        (row, document)
        for document in documents(options)
        if (row := SCHEME.of_kind(document["apiVersion"], document["kind"])) is not None
    ]
    assert len(served) == 13
    for row, document in served:
        decode_builtins(document, row, "Strict")


def test_printed_twice_it_is_the_same() -> None:
    for options in VARIANTS.values():
        assert msgspec.json.encode(documents(options)) == msgspec.json.encode(documents(options))


def test_everything_is_in_the_namespace_and_has_the_name_that_was_given() -> None:
    for document in documents(VARIANTS["everything"]):
        metadata = document["metadata"]
        assert metadata.get("namespace", "guards") == "guards"
        if document["kind"] not in ("Namespace", "CustomResourceDefinition"):
            assert metadata["name"].startswith("presets")
    text = msgspec.json.encode(documents(VARIANTS["everything"])).decode()
    assert "podward-system" not in text


# ---- rights


def verbs(roles: list[dict[str, Any]], group: str, resource: str) -> set[str]:
    return {
        verb
        for role in roles
        for rule in role["rules"]
        if group in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }


def own_roles(options: ManifestOptions) -> list[dict[str, Any]]:
    """What the service account is bound to."""
    bound = {
        (document["roleRef"]["kind"], document["roleRef"]["name"])
        for document in documents(options)
        if document["kind"].endswith("Binding")
    }
    return [d for d in documents(options) if (d["kind"], d["metadata"]["name"]) in bound]


def test_the_webhook_reads_no_secret_and_no_pod() -> None:
    (wide,) = [role for role in own_roles(PLAIN) if role["kind"] == "ClusterRole"]
    assert verbs([wide], "", "secrets") == set()
    assert verbs([wide], "", "pods") == set()
    for role in own_roles(PLAIN):
        for rule in role["rules"]:
            assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
            if rule["resources"] == ["secrets"] and rule["verbs"] != ["create"]:
                assert rule["resourceNames"] == ["podward-webhook-certificates"]
            if rule["apiGroups"] == ["admissionregistration.k8s.io"]:
                assert rule["resourceNames"] == ["podward-webhook"]


RIGHTS = {
    ("podward.dev", "podpresets"): {"get", "list", "watch"},
    ("podward.dev", "clusterpodpresets"): {"get", "list", "watch"},
    ("settings.k8s.io", "podpresets"): {"get", "list", "watch"},
    ("podward.dev", "podpresets/status"): {"patch"},
    ("podward.dev", "clusterpodpresets/status"): {"patch"},
    ("", "namespaces"): {"get", "list", "watch"},
    ("", "events"): {"create", "patch"},
    ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
    ("coordination.k8s.io", "leases"): {"create", "get", "update"},
}
MANAGING = {
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): {"get", "list", "watch", "patch"},
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): {"get", "list", "watch", "patch"},
    ("", "secrets"): {"create", "get", "list", "watch", "update"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("plain", RIGHTS | MANAGING),
        ("cert-manager", RIGHTS),
        ("everything", RIGHTS | MANAGING | {("", "pods"): {"list", "watch"}}),
    ],
)
def test_the_webhook_may_do_this_and_no_more(
    variant: str, expected: dict[tuple[str, str], set[str]]
) -> None:
    roles = own_roles(VARIANTS[variant])
    granted = {
        (group, resource)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert {where: verbs(roles, *where) for where in granted} == expected


def test_who_may_view_sees_presets_and_who_may_edit_does_not_write_them() -> None:
    aggregated = {
        label: [d for d in documents(PLAIN) if label in str(d["metadata"].get("labels"))]
        for label in ("aggregate-to-view", "aggregate-to-edit", "aggregate-to-admin")
    }
    assert [d["metadata"]["name"] for d in aggregated["aggregate-to-view"]] == [
        "podward-webhook-view"
    ]
    assert not aggregated["aggregate-to-edit"]
    assert not aggregated["aggregate-to-admin"]
    writes = {"create", "update", "patch", "delete"}
    assert not writes & verbs(aggregated["aggregate-to-view"], "podward.dev", "podpresets")


def test_to_override_is_a_right_of_its_own() -> None:
    holders = [
        d["metadata"]["name"]
        for d in documents(PLAIN)
        if d["kind"] == "ClusterRole" and any("override" in rule["verbs"] for rule in d["rules"])
    ]
    assert holders == ["podward-webhook-override"]


# ---- what runs


def test_the_program_is_started_as_its_command_line_wants_it() -> None:
    def args(options: ManifestOptions) -> str:
        (container,) = of_kind(options, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["podward"]
        return " ".join(container["args"])

    assert args(PLAIN) == (
        "webhook --listen 0.0.0.0:8443 --mode safe --self-managed "
        "--service podward-webhook --namespace podward-system"
    )
    assert args(VARIANTS["everything"]).endswith(
        "--service presets --namespace guards --count-pods"
    )
    assert "--mode compat" in args(VARIANTS["everything"])
    assert "--cert-file /etc/podward-webhook/tls/tls.crt --key-file" in args(
        VARIANTS["cert-manager"]
    )


def test_the_pods_satisfy_the_restricted_standard_that_their_namespace_enforces() -> None:
    for options in VARIANTS.values():
        namespace = of_kind(options, "Namespace")["metadata"]["labels"]
        assert namespace["pod-security.kubernetes.io/enforce"] == "restricted"
        pod = of_kind(options, "Deployment")["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert all(set(volume) <= {"name", "secret"} for volume in pod.get("volumes", ()))


def test_selectors_choose_the_replicas() -> None:
    spec = of_kind(PLAIN, "Deployment")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    assert of_kind(PLAIN, "Service")["spec"]["selector"] == labels
    budget = of_kind(PLAIN, "PodDisruptionBudget")["spec"]
    assert (budget["selector"]["matchLabels"], budget["maxUnavailable"]) == (labels, 1)
    (port,) = of_kind(PLAIN, "Service")["spec"]["ports"]
    (declared,) = spec["template"]["spec"]["containers"][0]["ports"]
    assert (port["port"], port["targetPort"]) == (443, declared["name"])


# ---- webhook configurations


def test_what_is_called_when() -> None:
    (webhook,) = of_kind(PLAIN, "MutatingWebhookConfiguration")["webhooks"]
    assert webhook["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
            "scope": "Namespaced",
        }
    ]
    assert webhook["clientConfig"]["service"]["path"] == "/mutate"
    assert "caBundle" not in webhook["clientConfig"], "applying again must not empty it"
    chosen = {key: webhook[key] for key in ("failurePolicy", "timeoutSeconds", "sideEffects",
                                           "reinvocationPolicy", "matchPolicy")}  # fmt: skip
    assert chosen == {
        "failurePolicy": "Ignore",
        "timeoutSeconds": 5,
        "sideEffects": "None",
        "reinvocationPolicy": "IfNeeded",
        "matchPolicy": "Equivalent",
    }
    assert webhook["namespaceSelector"]["matchExpressions"] == [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", "podward-system"],
        }
    ]
    conditions = " ".join(condition["expression"] for condition in webhook["matchConditions"])
    assert MIRROR_ANNOTATION in conditions
    assert EXCLUDE_ANNOTATION in conditions


def test_presets_are_checked_wherever_they_are_defined() -> None:
    def resources(options: ManifestOptions) -> set[tuple[str, str]]:
        (webhook,) = of_kind(options, "ValidatingWebhookConfiguration")["webhooks"]
        assert webhook["failurePolicy"] == "Fail"
        return {
            (group, resource)
            for rule in webhook["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }

    def defined(options: ManifestOptions) -> set[tuple[str, str]]:
        return {
            (d["spec"]["group"], d["spec"]["names"]["plural"])
            for d in documents(options)
            if d["kind"] == "CustomResourceDefinition"
        }

    for options in VARIANTS.values():
        assert resources(options) == defined(options)
    assert ("settings.k8s.io", "podpresets") in defined(VARIANTS["everything"])
    assert len(defined(PLAIN)) == 2


def test_outside_the_cluster_only_the_url_differs() -> None:
    found = webhook_configurations(PLAIN, Outside("https://192.0.2.1:9443", b"PEM"))
    paths = []
    for manifest in found:
        (webhook,) = manifest.document["webhooks"]
        assert set(webhook["clientConfig"]) == {"url", "caBundle"}
        assert webhook["clientConfig"]["caBundle"] == "UEVN"
        paths.append(webhook["clientConfig"]["url"])
    assert paths == ["https://192.0.2.1:9443/mutate", "https://192.0.2.1:9443/validate"]


def test_cert_manager_is_asked_for_a_chain_and_to_inject_it() -> None:
    options = VARIANTS["cert-manager"]
    issued = [d for d in documents(options) if d["apiVersion"] == "cert-manager.io/v1"]
    assert [(d["kind"], d["metadata"]["name"]) for d in issued] == [
        ("Issuer", "presets-selfsigned"),
        ("Certificate", "presets-ca"),
        ("Issuer", "presets-ca"),
        ("Certificate", "presets-tls"),
    ]
    leaf = issued[3]["spec"]
    assert leaf["issuerRef"]["name"] == "presets-ca", "not the self-signed one"
    assert leaf["dnsNames"][0] == "presets.guards.svc"
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        annotations = of_kind(options, kind)["metadata"]["annotations"]
        assert annotations == {"cert-manager.io/inject-ca-from": "guards/presets-tls"}
    (volume,) = of_kind(options, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == leaf["secretName"]
    assert not [d for d in documents(PLAIN) if d["apiVersion"].startswith("cert-manager")]


# ---- definitions


def definition(name: str) -> dict[str, Any]:
    return of_kind(VARIANTS["everything"], "CustomResourceDefinition", name)


def schema(name: str) -> dict[str, Any]:
    (version,) = definition(name)["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


KINDS = ("podpresets.podward.dev", "clusterpodpresets.podward.dev", "podpresets.settings.k8s.io")


def nodes(node: dict[str, Any], path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, below in node.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in node:
            yield from nodes(node[name], f"{path}.{name}")


@pytest.mark.parametrize("name", KINDS)
def test_schemas_are_structural(name: str) -> None:
    """What apiextensions asks of a schema before it takes it."""
    assert definition(name)["metadata"]["name"] == name
    for path, node in nodes(schema(name)):
        assert node.get("type") or node.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert ("items" in node) == (node.get("type") == "array"), path
        assert set(node.get("required", ())) <= set(node.get("properties", ())), path
        if node.get("x-kubernetes-list-type") == "map":
            assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]), path
        if node.get("x-kubernetes-preserve-unknown-fields"):
            assert node["type"] == "object", path
        for rule in node.get("x-kubernetes-validations", ()):
            named = set(re.findall(r"self\.(\w+)", rule["rule"])) - {"metadata"}
            assert named <= set(node["properties"]), f"{path}: a rule sees declared fields only"
            assert "\n" not in rule["message"]


@pytest.mark.parametrize("name", KINDS)
def test_of_metadata_nothing_is_said_but_that_it_is_an_object(name: str) -> None:
    """Whatever else, a description even, is refused: "must not specify anything other than name"."""
    assert schema(name)["properties"]["metadata"] == {"type": "object"}


def test_definitions_say_what_podwards_own_server_says() -> None:
    for row in SCHEME:
        if row.group_resource not in KINDS:
            continue
        spec = definition(row.group_resource)["spec"]
        (version,) = spec["versions"]
        assert spec["names"]["kind"] == row.kind
        assert tuple(spec["names"].get("shortNames", ())) == row.short_names
        assert spec["scope"] == ("Namespaced" if row.namespaced else "Cluster")
        assert ("subresources" in version) == ("status" in row.subresources)


def test_every_field_of_a_preset_is_in_the_schema() -> None:
    spec = schema("podpresets.podward.dev")["properties"]["spec"]
    assert set(spec["properties"]) == set(podward_v1alpha1.PodPresetSpec.__struct_fields__)
    section = spec["properties"]["containers"]["items"]["properties"]
    assert set(section) == set(podward_v1alpha1.ContainerSection.__struct_fields__)
    assert section["match"]["properties"]["class"]["enum"] == ["app", "init", "sidecar"]
    assert section["livenessProbe"]["properties"]["mode"]["enum"] == ["ifAbsent", "override"]
    assert spec["required"] == ["selector"]


def test_only_a_cluster_preset_may_choose_namespaces() -> None:
    def rules(name: str) -> list[str]:
        spec = schema(name)["properties"]["spec"]
        return [rule["rule"] for rule in spec["x-kubernetes-validations"]]

    assert "!has(self.namespaceSelector)" in rules("podpresets.podward.dev")
    assert "!has(self.namespaceSelector)" not in rules("clusterpodpresets.podward.dev")


def test_the_group_of_old_has_to_be_asked_for() -> None:
    annotations = definition("podpresets.settings.k8s.io")["metadata"]["annotations"]
    assert annotations["api-approved.kubernetes.io"].startswith("unapproved")
    comments = [
        manifest.comment
        for manifest in manifests(VARIANTS["everything"])
        if manifest.document["metadata"]["name"] == "podpresets.settings.k8s.io"
    ]
    assert "must NOT be installed on 1.19" in comments[0]


def test_kubectl_prints_the_same_columns_from_either_server() -> None:
    (version,) = definition("podpresets.podward.dev")["spec"]["versions"]
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert columns == ["Priority", "On-Conflict", "Valid", "Matched", "Current", "Stale", "Age"]
    own = printer_for(SCHEME.of_type(podward_v1alpha1.PodPreset))
    assert [column.name for column in own.columns] == ["Name", *columns]
