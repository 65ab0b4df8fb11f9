"""All that a cluster must be given for `podward webhook`, in the order in which it is to be applied. Pure.

Kinds that lightkube has are built as such: a field that does not exist cannot be written. A manifest's comment
says what an operator cannot see in it.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from lightkube.models import admissionregistration_v1 as registration
from lightkube.models import core_v1, meta_v1

from podward.admission.plugins.pod_preset.model import EXCLUDE_ANNOTATION, MIRROR_ANNOTATION
from podward.webhook import definitions, roles, workload
from podward.webhook.manifest_options import ManifestOptions
from podward.webhook.naming import MUTATE_PATH, VALIDATE_PATH

MUTATING_WEBHOOK = "pods.presets.podward.dev"
VALIDATING_WEBHOOK = "validation.presets.podward.dev"
_INJECT_ANNOTATION = "cert-manager.io/inject-ca-from"
_NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""Every namespace has it since 1.21."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    document: Document
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """A webhook that runs outside the cluster, where API servers reach it by a URL."""

    url: str
    """https://HOST:PORT"""
    ca_bundle: bytes
    """PEM."""


def manifests(options: ManifestOptions) -> list[Manifest]:
    return [
        *_kinds(options),
        *_rights(options),
        *_running(options),
        *([] if options.self_managed else _issued_certificates(options)),
        *webhook_configurations(options),
    ]


def header(options: ManifestOptions, version: str) -> str:
    name = options.installation.configuration
    return f"""podward webhook {version}: presets for the Pods of this cluster.

EMERGENCY: Pods cannot be created, and this webhook may be why? This works even if nothing of it runs:
  kubectl delete mutatingwebhookconfiguration {name}
Webhook configurations are themselves never sent to webhooks. To come back, apply this file again.

IMAGE: Podward publishes none. Build one that has `podward` {version} on its PATH, put it where your nodes pull
from, and print this again with --image. In here is {options.image}."""


def webhook_configurations(
    options: ManifestOptions, outside: Outside | None = None
) -> list[Manifest]:
    """The two objects that make API servers call; with `outside` they need nothing else of all this."""
    if options.failure_policy == "Ignore":
        policy = "failurePolicy Ignore: while no replica answers, Pods start without presets."
    else:
        policy = "failurePolicy Fail: while no replica answers, no Pod can be created where it is called."
    if outside is not None:
        trust = "caBundle: the authority of the certificate that the webhook serves with."
    elif options.self_managed:
        trust = "caBundle is absent on purpose: the webhook fills it in, and keeps it up to date."
    else:
        trust = "caBundle is absent on purpose: cert-manager fills it in."
    mutating = f"""{policy}
timeoutSeconds is part of how long the creation of a Pod may take.
Left out are kube-system and the webhook's own namespace: it must be able to start without itself.
reinvocationPolicy IfNeeded: another webhook may add containers after this one.
matchConditions need Kubernetes 1.28. They only save calls: the webhook looks at the same annotations.
{trust}"""
    validating = (
        """failurePolicy Fail is safe here: it concerns presets only, no Pod waits for it."""
    )
    return [
        Manifest(_document(_mutating(options, outside)), mutating),
        Manifest(_document(_validating(options, outside)), validating),
    ]


def _kinds(options: ManifestOptions) -> Iterator[Manifest]:
    namespace = core_v1.Namespace(
        metadata=meta_v1.ObjectMeta(
            name=options.installation.namespace,
            labels={**options.labels, "pod-security.kubernetes.io/enforce": "restricted"},
        )
    )
    yield Manifest(_document(namespace))
    for definition in definitions.definitions():
        yield Manifest(_document(definition))
    if options.legacy:
        yield Manifest(
            _document(definitions.legacy_definition()),
            "The PodPreset that Kubernetes had until 1.19. It must NOT be installed on 1.19 and older: there\n"
            "the group is the API server's own. settings.k8s.io is protected; the annotation says that nobody\n"
            "approved this use of it. Unlike then, a change of spec is not thrown away in silence: it counts\n"
            "for Pods created afterwards.",
        )


def _rights(options: ManifestOptions) -> Iterator[Manifest]:
    installation, labels = options.installation, options.labels
    account = core_v1.ServiceAccount(metadata=options.meta())
    yield Manifest(_document(account))
    wide = roles.cluster_rules(
        installation,
        self_managed=options.self_managed,
        count_pods=options.count_pods,
    )
    text = "What the webhook may do. It cannot read Secrets: presets name them, and the kubelet reads them."
    if not options.count_pods:
        text += "\nNor can it see Pods but those it is asked about: --count-pods would let it."
    yield Manifest(_document(roles.cluster_role(installation, labels, wide)), text)
    yield Manifest(_document(roles.cluster_binding(installation, labels)))
    own = roles.own_namespace_rules(installation, self_managed=options.self_managed)
    yield Manifest(_document(roles.own_role(installation, labels, own)))
    yield Manifest(_document(roles.own_binding(installation, labels)))
    name, described = installation.name, {}
    described[f"{name}-edit"] = (
        "For people. NOT aggregated into `edit`: who writes a preset can put variables (LD_PRELOAD ...) and\n"
        "mounts into Pods that run under stronger accounts than his own. Grant it where that is meant:\n"
        f"  kubectl -n NAMESPACE create rolebinding presets --clusterrole={name}-edit --group=GROUP"
    )
    described[f"{name}-override"] = (
        "For people, beside the right to write: to say Override, which takes from a Pod what its author wrote."
    )
    for role in roles.people(installation, labels):
        assert role.metadata is not None
        yield Manifest(_document(role), described.get(role.metadata.name or "", ""))


def _running(options: ManifestOptions) -> Iterator[Manifest]:
    yield Manifest(_document(workload.service(options)))
    yield Manifest(
        _document(workload.deployment(options)),
        "Every replica serves; one of them, elected, writes status and certificates. The startup probe waits\n"
        "long: a replica answers only once it has a certificate.",
    )
    yield Manifest(_document(workload.budget(options)))


# ---- webhook configurations


def _mutating(
    options: ManifestOptions, outside: Outside | None
) -> registration.MutatingWebhookConfiguration:
    webhook = registration.MutatingWebhook(
        name=MUTATING_WEBHOOK,
        admissionReviewVersions=["v1"],
        clientConfig=_client(options, MUTATE_PATH, outside),
        failurePolicy=options.failure_policy,
        matchConditions=_match_conditions(),
        matchPolicy="Equivalent",
        namespaceSelector=meta_v1.LabelSelector(
            matchExpressions=[
                meta_v1.LabelSelectorRequirement(
                    key=_NAMESPACE_NAME_LABEL,
                    operator="NotIn",
                    values=["kube-system", options.installation.namespace],
                )
            ]
        ),
        reinvocationPolicy="IfNeeded",
        rules=[
            registration.RuleWithOperations(
                apiGroups=[""],
                apiVersions=["v1"],
                operations=["CREATE"],
                resources=["pods"],
                scope="Namespaced",
            )
        ],
        sideEffects="None",
        timeoutSeconds=options.timeout_seconds,
    )
    return registration.MutatingWebhookConfiguration(
        metadata=_configuration_meta(options, outside), webhooks=[webhook]
    )


def _validating(
    options: ManifestOptions, outside: Outside | None
) -> registration.ValidatingWebhookConfiguration:
    operations = ["CREATE", "UPDATE"]
    rules = [
        registration.RuleWithOperations(
            apiGroups=["podward.dev"],
            apiVersions=["v1alpha1"],
            operations=operations,
            resources=[roles.PRESETS, roles.CLUSTER_PRESETS],
            scope="*",
        )
    ]
    if options.legacy:
        rules.append(
            registration.RuleWithOperations(
                apiGroups=["settings.k8s.io"],
                apiVersions=["v1alpha1"],
                operations=operations,
                resources=[roles.PRESETS],
                scope="Namespaced",
            )
        )
    webhook = registration.ValidatingWebhook(
        name=VALIDATING_WEBHOOK,
        admissionReviewVersions=["v1"],
        clientConfig=_client(options, VALIDATE_PATH, outside),
        failurePolicy="Fail",
        matchPolicy="Equivalent",
        rules=rules,
        sideEffects="None",
        timeoutSeconds=options.timeout_seconds,
    )
    return registration.ValidatingWebhookConfiguration(
        metadata=_configuration_meta(options, outside), webhooks=[webhook]
    )


def _client(
    options: ManifestOptions, path: str, outside: Outside | None
) -> registration.WebhookClientConfig:
    if outside is not None:
        return registration.WebhookClientConfig(
            url=f"{outside.url}{path}", caBundle=base64.b64encode(outside.ca_bundle).decode()
        )
    service = registration.ServiceReference(
        name=options.installation.name,
        namespace=options.installation.namespace,
        path=path,
        port=443,
    )
    return registration.WebhookClientConfig(service=service)


def _configuration_meta(options: ManifestOptions, outside: Outside | None) -> meta_v1.ObjectMeta:
    annotations = None
    if outside is None and not options.self_managed:
        installation = options.installation
        annotations = {_INJECT_ANNOTATION: f"{installation.namespace}/{installation.issued_secret}"}
    return meta_v1.ObjectMeta(
        name=options.installation.configuration, labels=options.labels, annotations=annotations
    )


def _match_conditions() -> list[registration.MatchCondition]:
    def absent(key: str) -> str:
        return f"!has(object.metadata.annotations) || !('{key}' in object.metadata.annotations)"

    excluded = f"object.metadata.annotations['{EXCLUDE_ANNOTATION}'] != 'true'"
    return [
        registration.MatchCondition(name="not-a-mirror-pod", expression=absent(MIRROR_ANNOTATION)),
        registration.MatchCondition(
            name="not-excluded", expression=f"{absent(EXCLUDE_ANNOTATION)} || {excluded}"
        ),
    ]


# ---- cert-manager


def _issued_certificates(options: ManifestOptions) -> Iterator[Manifest]:
    """An authority of ten years and a leaf of it.

    Not a self-signed leaf: whose renewal would replace what API servers trust at one stroke.
    """
    installation = options.installation
    root, authority = f"{installation.name}-selfsigned", f"{installation.name}-ca"
    yield Manifest(
        _cert_manager(options, "Issuer", root, {"selfSigned": {}}),
        "cert-manager must be installed. The self-signed issuer signs the authority, and nothing else.\n"
        "The leaf is renewed without a failed call. The authority, every six or seven years, is not:\n"
        "cert-manager then replaces what API servers trust at one stroke. --self-managed keeps both in it\n"
        "for a while.",
    )
    yield Manifest(
        _cert_manager(
            options,
            "Certificate",
            authority,
            {
                "isCA": True,
                "commonName": authority,
                "secretName": authority,
                "duration": "87600h",
                "privateKey": {"algorithm": "ECDSA", "size": 256},
                "issuerRef": {"kind": "Issuer", "name": root},
            },
        )
    )
    yield Manifest(_cert_manager(options, "Issuer", authority, {"ca": {"secretName": authority}}))
    yield Manifest(
        _cert_manager(
            options,
            "Certificate",
            installation.issued_secret,
            {
                "secretName": installation.issued_secret,
                "dnsNames": list(installation.server_names()),
                "duration": "2160h",
                "renewBefore": "720h",
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
                "usages": ["digital signature", "server auth"],
                "issuerRef": {"kind": "Issuer", "name": authority},
            },
        ),
        "Renewed a month before its end; the webhook reads the new files without a restart.",
    )


def _cert_manager(options: ManifestOptions, kind: str, name: str, spec: dict[str, Any]) -> Document:
    metadata = msgspec.to_builtins(msgspec.structs.replace(options.meta(), name=name))
    return {
        "apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec,
    }  # fmt: skip


def _document(obj: Any) -> Document:
    document: Document = msgspec.to_builtins(obj)
    return document
