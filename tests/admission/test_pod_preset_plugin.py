"""The preset plug-in's shell: when the engine is asked, with what, and what is done with its answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import Api, started

from podward.admission.base import AdmissionPlugin, AdmissionRequest, NoObjects, Operation
from podward.admission.plugins.pod_preset.model import (
    Conflict,
    Document,
    InvalidPreset,
    Mode,
    Notice,
    Preset,
    Result,
)
from podward.admission.plugins.pod_preset.plugin import PodPreset
from podward.admission.plugins.service_account import ServiceAccount
from podward.api.errors import ApiStatusError
from podward.api.kinds import podward_v1alpha1, settings_v1alpha1
from podward.api.scheme import SCHEME
from podward.client.base import ApiError
from podward.cluster import admission_order
from podward.machinery.entropy import Entropy
from podward.machinery.selectors import LabelSelector
from podward.simulate.outside import NobodyOutside
from podward.simulate.virtual_loop import run

PROBLEM = Conflict(
    presets=("podpreset/cal",), container="app", list="env", identity="TZ", path="", pod_hash="a",
    preset_hash="b", outcome="SkipAll", message="podpreset/cal: env TZ of app differs",
)  # fmt: skip


@dataclass
class Engine:
    """Answers what it is told to; remembers what it was asked."""

    answer: Callable[[Document], Document] = lambda pod: pod
    result: Result = field(default_factory=lambda: Result(pod={}))
    unreadable: frozenset[str] = frozenset()
    read_names: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def plugin(self, mode: Any = "safe") -> PodPreset:
        return PodPreset(mode, self.notices.append, admit=self.admit, read=self.read)

    def admit(
        self,
        pod: Document,
        presets: Sequence[Preset],
        *,
        namespace: str,
        namespace_labels: Mapping[str, str] | None,
        mode: Mode,
    ) -> Result:
        self.asked.append(
            {"pod": pod, "presets": [p.id for p in presets], "namespace": namespace,
             "labels": namespace_labels, "mode": mode}
        )  # fmt: skip
        return replace(self.result, pod=self.answer(pod), matched=tuple(presets))

    def read(self, document: Mapping[str, Any], *, namespace: str) -> Preset:
        metadata = document["metadata"]
        self.read_names.append(metadata["name"])
        if metadata["name"] in self.unreadable:
            raise InvalidPreset(metadata["name"], (), "no server would have stored it")
        own = document["apiVersion"] == "podward.dev/v1alpha1"
        cluster = document["kind"] == "ClusterPodPreset"
        return Preset(
            origin="cluster" if cluster else "namespaced" if own else "settings",
            name=metadata["name"], namespace=namespace, uid=metadata["uid"],
            resource_version=metadata["resourceVersion"], generation=1, created="", priority=0,
            on_conflict="SkipAll", selector=LabelSelector(), selector_error="",
            namespace_selector=LabelSelector(), spec=document["spec"], spec_hash="",
        )  # fmt: skip


def meta(name: str = "web", namespace: str | None = "default") -> meta_v1.ObjectMeta:
    return meta_v1.ObjectMeta(name=name, namespace=namespace)


def pod(name: str = "web", **spec: Any) -> core_v1.Pod:
    container = core_v1.Container(name="app", image="busybox")
    return core_v1.Pod(metadata=meta(name), spec=core_v1.PodSpec(containers=[container], **spec))


def preset(name: str = "cal", namespace: str = "default") -> settings_v1alpha1.PodPreset:
    selector = meta_v1.LabelSelector(matchLabels={"tier": "web"})
    spec = settings_v1alpha1.PodPresetSpec(env=[core_v1.EnvVar("TZ", "UTC")], selector=selector)
    return settings_v1alpha1.PodPreset(metadata=meta(name, namespace), spec=spec)


def ours(kind: Any, name: str, namespace: str | None = "default") -> Any:
    spec = podward_v1alpha1.PodPresetSpec(selector=meta_v1.LabelSelector(), labels={"a": "b"})
    return kind(metadata=meta(name, namespace), spec=spec)


async def having(engine: Engine, *presets: Any, mode: Any = "safe") -> Api:
    api = await started([engine.plugin(mode), ServiceAccount()])
    for one in presets:
        await api.client.create(one)
    return api


# ---- when it is asked


def test_without_presets_the_engine_is_not_asked() -> None:
    async def main() -> None:
        engine = Engine()
        api = await having(engine)
        await api.client.create(core_v1.Namespace(metadata=meta("other", None)))
        await api.client.create(preset(namespace="other"))
        await api.client.create(ours(podward_v1alpha1.PodPreset, "own", "other"))
        await api.client.create(pod())
        assert engine.asked == []
        assert engine.notices == []

    run(main())


@pytest.mark.parametrize(
    ("operation", "subresource", "kind"),
    [("UPDATE", "", core_v1.Pod), ("CREATE", "binding", core_v1.Pod), ("DELETE", "", core_v1.Pod),
     ("CREATE", "", core_v1.ConfigMap)],
)  # fmt: skip
def test_only_the_creation_of_a_pod_is_its_business(
    operation: Operation, subresource: str, kind: type[Any]
) -> None:
    class Forbidden(NoObjects):
        async def get(self, *_: Any) -> Any:
            raise AssertionError("nothing is looked up")

        list = get  # type: ignore[assignment]

    given = pod() if kind is core_v1.Pod else core_v1.ConfigMap(metadata=meta())
    request = AdmissionRequest(
        operation=operation, resource=SCHEME.of_type(kind), subresource=subresource,
        namespace="default", name="web", object=given, old_object=None, user="x",
        objects=Forbidden(),
    )  # fmt: skip
    assert run(Engine().plugin().mutate(request)) is given


def test_it_is_asked_with_every_preset_that_could_reach_the_pod() -> None:
    async def main() -> None:
        engine = Engine()
        api = await having(
            engine, preset("b"), preset("a"), ours(podward_v1alpha1.PodPreset, "own"),
            ours(podward_v1alpha1.ClusterPodPreset, "everywhere", None), mode="compat",
        )  # fmt: skip
        await api.client.create(pod())
        (asked,) = engine.asked
        assert asked["presets"] == [
            "clusterpodpreset/everywhere", "podpreset/a", "podpreset/b", "podpreset.podward.dev/own",
        ]  # fmt: skip
        assert asked["namespace"] == "default"
        assert asked["labels"] == {"kubernetes.io/metadata.name": "default"}
        assert asked["mode"] == "compat"
        # Before ServiceAccount, and as a client's document is after decoding.
        assert asked["pod"]["spec"].get("serviceAccountName") is None
        assert asked["pod"]["spec"]["containers"][0]["imagePullPolicy"] == "Always"
        assert (asked["pod"]["apiVersion"], asked["pod"]["kind"]) == ("v1", "Pod")

    run(main())


def test_labels_of_the_namespace_are_looked_up_for_presets_of_the_cluster_only() -> None:
    async def main() -> None:
        engine = Engine()
        api = await having(engine, preset())
        await api.client.create(pod())
        assert engine.asked[0]["labels"] is None

    run(main())


def test_a_preset_is_read_once_for_each_form_it_is_stored_in() -> None:
    async def main() -> None:
        engine = Engine()
        api = await having(engine, preset())
        for name in "abc":
            await api.client.create(pod(name))
        assert engine.read_names == ["cal"]
        changed = await api.client.get(settings_v1alpha1.PodPreset, "cal", "default")
        assert changed.metadata is not None
        changed.metadata.labels = {"a": "b"}
        await api.client.update(changed)
        await api.client.create(pod("d"))
        assert engine.read_names == ["cal", "cal"]

    run(main())


def test_a_preset_that_cannot_be_read_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        engine = Engine(unreadable=frozenset({"cal"}))
        api = await having(engine, preset(), preset("ok"))
        for name in "ab":
            await api.client.create(pod(name))
        assert [asked["presets"] for asked in engine.asked] == [["podpreset/ok"]] * 2

    run(main())
    warned = [record for record in caplog.records if "left out" in record.message]
    assert len(warned) == 1, "it is said once"


# ---- what is done with the answer


def injecting(document: Document) -> Document:
    changed = msgspec.json.decode(msgspec.json.encode(document))
    changed["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "s"}}]
    changed["spec"]["containers"][0]["livenessProbe"] = {"tcpSocket": {"port": 80}}
    assert isinstance(changed, dict)
    return changed


def test_what_was_put_in_is_completed_and_the_rest_of_the_chain_goes_on() -> None:
    async def main() -> None:
        api = await having(Engine(answer=injecting), preset())
        spec = (await api.client.create(pod())).spec
        assert spec is not None
        assert spec.volumes is not None
        assert spec.volumes[0].secret == core_v1.SecretVolumeSource(secretName="s", defaultMode=420)
        probe = spec.containers[0].livenessProbe
        assert probe is not None
        assert (probe.periodSeconds, probe.failureThreshold) == (10, 3)
        assert spec.serviceAccountName == "default"

    run(main())


def test_an_untouched_pod_is_the_very_object_that_came() -> None:
    class One(NoObjects):
        async def get(self, kind: Any, name: str, namespace: str = "") -> Any:
            return None

        async def list(self, kind: Any, namespace: str = "") -> Sequence[Any]:
            stored = preset()
            assert stored.metadata is not None
            stored.metadata.uid, stored.metadata.resourceVersion = "u", "1"
            return [stored] if kind is settings_v1alpha1.PodPreset else []

    given = pod()
    request = AdmissionRequest(
        operation="CREATE", resource=SCHEME.of_type(core_v1.Pod), subresource="", namespace="default",
        name="web", object=given, old_object=None, user="x", objects=One(),
    )  # fmt: skip
    engine = Engine()
    assert run(engine.plugin().mutate(request)) is given
    assert len(engine.asked) == 1


def test_a_conflict_is_a_warning_and_a_notice_with_the_owner() -> None:
    long = replace(PROBLEM, message="x" * 300)
    owner = meta_v1.OwnerReference(
        apiVersion="apps/v1", kind="ReplicaSet", name="rs", uid="u", controller=True
    )

    async def main() -> None:
        engine = Engine(result=Result(pod={}, conflicts=(PROBLEM, long)))
        plugin = engine.plugin()
        warnings: list[list[str]] = []

        class Last(AdmissionPlugin):
            async def validate(self, request: AdmissionRequest) -> None:
                warnings.append(list(request.warnings))

        api = await started([plugin, Last()])
        await api.client.create(preset())
        warnings.clear()
        owned = pod()
        assert owned.metadata is not None
        owned.metadata.ownerReferences = [
            msgspec.structs.replace(owner, name="other", controller=None), owner,
        ]  # fmt: skip
        await api.client.create(owned)
        first, second = warnings[0]
        assert first == "PodPreset: podpreset/cal: env TZ of app differs"
        assert len(second) == 256
        assert second.endswith("x...")
        (notice,) = engine.notices
        assert notice.result.conflicts == (PROBLEM, long)
        assert (notice.namespace, notice.pod_name, notice.dry_run) == ("default", "web", False)
        assert notice.owner is not None
        assert notice.owner["name"] == "rs"

    run(main())


def test_a_dry_run_says_so() -> None:
    async def main() -> None:
        engine = Engine()
        api = await having(engine, preset())
        body = msgspec.json.encode(pod())
        answer = await api.line.request(
            "POST", "/api/v1/namespaces/default/pods", query={"dryRun": "All"}, body=body,
            headers={"content-type": "application/json"},
        )  # fmt: skip
        assert answer.status == 201
        (notice,) = engine.notices
        assert (notice.dry_run, notice.owner) == (True, None)

    run(main())


@pytest.mark.parametrize(
    ("result", "code", "reason", "message"),
    [
        (
            Result(pod={}, error="filtering pod presets failed: no"),
            500, None, "filtering pod presets failed: no",
        ),
        (
            Result(pod={}, rejected="podpreset.podward.dev/x rejects it"),
            403, "Forbidden", 'pods "web" is forbidden: podpreset.podward.dev/x rejects it',
        ),
    ],
    ids=["F05", "Reject"],
)  # fmt: skip
def test_the_engine_may_refuse(result: Result, code: int, reason: str | None, message: str) -> None:
    async def main() -> None:
        engine = Engine(result=result)
        api = await having(engine, preset())
        body = msgspec.json.encode(pod())
        answer = await api.line.request(
            "POST", "/api/v1/namespaces/default/pods", body=body,
            headers={"content-type": "application/json"},
        )  # fmt: skip
        status = msgspec.json.decode(answer.body)
        assert (answer.status, status.get("reason"), status["message"]) == (code, reason, message)
        assert len(engine.notices) == 1

    run(main())


# ---- what safe mode refuses of presets themselves


@pytest.mark.parametrize(
    ("mode", "accepted"), [("safe", False), ("compat", True)], ids=["safe", "compat"]
)
def test_a_preset_that_was_stored_to_sorrow(mode: str, accepted: bool) -> None:
    async def main() -> None:
        api = await having(Engine(), mode=mode)
        name = "n" * 54
        if accepted:
            await api.client.create(preset(name))
            return
        with pytest.raises(ApiError) as refused:
            await api.client.create(preset(name))
        status = refused.value.status
        assert (status.code, status.reason) == (422, "Invalid")
        assert (status.message or "").startswith(f'PodPreset.settings.k8s.io "{name}" is invalid')
        await api.client.create(preset("n" * 53))

    run(main())


@pytest.mark.parametrize("leaving", [False, True])
def test_one_that_is_stored_already_may_be_let_go_and_not_kept(leaving: bool) -> None:
    stored = preset("n" * 54)
    assert stored.metadata is not None
    if leaving:
        stored.metadata.deletionTimestamp = datetime(2026, 1, 1, tzinfo=UTC)
    request = AdmissionRequest(
        operation="UPDATE", resource=SCHEME.of_type(settings_v1alpha1.PodPreset), subresource="",
        namespace="default", name="n" * 54, object=stored, old_object=stored, user="x",
    )  # fmt: skip
    if leaving:
        run(Engine().plugin().validate(request))
        return
    with pytest.raises(ApiStatusError):
        run(Engine().plugin().validate(request))


def test_presets_come_before_the_account_as_they_did_in_kubernetes() -> None:
    def order(mode: Any) -> list[str]:
        plugins = admission_order(mode, lambda notice: None, NobodyOutside(), Entropy(1))
        return [type(plugin).__name__ for plugin in plugins]

    rest = ["ServiceAccount", "Priority", "DefaultTolerationSeconds", "RuntimeClass"]
    rest += ["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"]
    assert order("safe") == order("compat") == ["PodPreset", *rest]
    assert order("off") == rest
