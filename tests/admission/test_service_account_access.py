"""What a Pod gets of its service account, where accounts have tokens."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1

from podward.admission.base import AdmissionRequest
from podward.admission.plugins.service_account import ServiceAccount
from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME
from podward.simulate.virtual_loop import run

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
NAME = "kube-api-access-x7x7x"


class Accounts:
    """`StoredObjects` of one namespace, and what comes into it later."""

    def __init__(self, *accounts: core_v1.ServiceAccount, after: float = 0.0) -> None:
        self._accounts = {(a.metadata and a.metadata.name): a for a in accounts}
        self._after = after

    async def get(self, kind: type[Any], name: str, namespace: str = "") -> Any:
        assert (kind, namespace) == (core_v1.ServiceAccount, "team")
        there = asyncio.get_running_loop().time() >= self._after
        return self._accounts.get(name) if there else None

    async def list(self, kind: type[Any], namespace: str = "") -> Sequence[Any]:
        return ()

    def version(self, kind: type[Any]) -> int:
        return 0


def account(name: str = "default", **fields: Any) -> core_v1.ServiceAccount:
    return core_v1.ServiceAccount(metadata=meta_v1.ObjectMeta(name=name), **fields)


def container(name: str = "app", *mounts: str) -> core_v1.Container:
    return core_v1.Container(
        name=name, image="busybox",
        volumeMounts=[core_v1.VolumeMount(name="own", mountPath=place) for place in mounts] or None,
    )  # fmt: skip


def admit(accounts: Accounts, spec: core_v1.PodSpec, **meta: Any) -> tuple[core_v1.PodSpec, float]:
    """What becomes of the spec, and how long it took."""
    named = {"name": "web"} | meta
    request = AdmissionRequest(
        operation="CREATE", resource=SCHEME.of_type(core_v1.Pod), subresource="",
        namespace="team", name="web", old_object=None, user="jane", objects=accounts,
        object=core_v1.Pod(metadata=meta_v1.ObjectMeta(**named), spec=spec),
    )  # fmt: skip

    async def scenario() -> tuple[core_v1.PodSpec, float]:
        pod = await ServiceAccount(lambda: "x7x7x").mutate(request)
        return pod.spec, asyncio.get_running_loop().time()

    return run(scenario())


def mounts(container: core_v1.Container) -> list[tuple[str, str]]:
    return [(m.name, m.mountPath) for m in container.volumeMounts or ()]


def test_the_volume_is_that_of_a_stock_server() -> None:
    spec, _ = admit(Accounts(account()), core_v1.PodSpec(containers=[container()]))
    assert spec.serviceAccountName == spec.serviceAccount == "default"
    assert msgspec.to_builtins(spec.volumes) == [{
        "name": NAME,
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {
                    "items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt",
                }},
                {"downwardAPI": {"items": [{
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                    "path": "namespace",
                }]}},
            ],
        },
    }]  # fmt: skip
    assert msgspec.to_builtins(spec.containers[0].volumeMounts) == [
        {"mountPath": PLACE, "name": NAME, "readOnly": True}
    ]


def test_every_container_gets_it_that_has_nothing_there() -> None:
    spec, _ = admit(
        Accounts(account()),
        core_v1.PodSpec(
            initContainers=[container("init")],
            containers=[container("app", "/data"), container("own", PLACE)],
        ),
    )
    assert spec.initContainers is not None
    found = [mounts(c) for c in [*spec.initContainers, *spec.containers]]
    assert found == [[(NAME, PLACE)], [("own", "/data"), (NAME, PLACE)], [("own", PLACE)]]


def test_no_volume_comes_if_no_container_needs_it() -> None:
    given = core_v1.PodSpec(containers=[container("own", PLACE)])
    spec, _ = admit(Accounts(account()), given)
    assert (spec.volumes, spec.containers) == (None, given.containers)


def test_a_volume_that_is_there_already_is_used() -> None:
    held = core_v1.Volume(name="kube-api-access-mine", emptyDir=core_v1.EmptyDirVolumeSource())
    spec, _ = admit(Accounts(account()), core_v1.PodSpec(containers=[container()], volumes=[held]))
    assert spec.volumes == [held]
    assert mounts(spec.containers[0]) == [("kube-api-access-mine", PLACE)]


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [(None, None, True), (False, None, False), (True, None, True), (False, True, True),
     (None, False, False), (True, False, False)],
)  # fmt: skip
def test_the_pods_word_counts_more_than_the_accounts(
    of_account: bool | None, of_pod: bool | None, mounted: bool
) -> None:
    accounts = Accounts(account(automountServiceAccountToken=of_account))
    given = core_v1.PodSpec(containers=[container()], automountServiceAccountToken=of_pod)
    assert bool(admit(accounts, given)[0].volumes) is mounted


def test_pull_secrets_come_from_the_account_if_the_pod_has_none() -> None:
    ours, theirs = ([core_v1.LocalObjectReference(name)] for name in ("ours", "theirs"))
    accounts = Accounts(account(imagePullSecrets=theirs))
    for given, wanted in ((None, theirs), (ours, ours)):
        spec = core_v1.PodSpec(containers=[container()], imagePullSecrets=given)
        assert admit(accounts, spec)[0].imagePullSecrets == wanted


@pytest.mark.parametrize(
    ("meta", "shown"),
    [({}, "web"), ({"name": None, "generateName": "web-"}, "web-"), ({"name": None}, "Unknown")],
)
def test_an_account_that_is_not_there_is_a_refusal(meta: dict[str, Any], shown: str) -> None:
    spec = core_v1.PodSpec(containers=[container()], serviceAccountName="robot")
    with pytest.raises(ApiStatusError) as refused:
        admit(Accounts(account()), spec, **meta)
    status = refused.value.status
    assert (status.code, status.reason) == (403, "Forbidden")
    assert status.message == (
        f'pods "{shown}" is forbidden: error looking up service account team/robot: '
        'serviceaccount "robot" not found'
    )


def test_a_new_namespaces_default_account_is_waited_for() -> None:
    spec, took = admit(Accounts(account(), after=0.45), core_v1.PodSpec(containers=[container()]))
    assert spec.volumes
    assert 0.45 <= took <= 0.55
    with pytest.raises(ApiStatusError, match="service account team/default"):
        admit(Accounts(account(), after=5), core_v1.PodSpec(containers=[container()]))


def test_a_mirror_of_a_pod_stays_what_it_is() -> None:
    given = core_v1.PodSpec(containers=[container()])
    annotations = {"kubernetes.io/config.mirror": "x"}
    assert admit(Accounts(), given, annotations=annotations)[0] == given
