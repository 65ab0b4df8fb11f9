"""Plug-ins in a row: first all may change, then all may refuse."""

from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import started

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.api import errors
from podward.client.base import ApiError
from podward.simulate.virtual_loop import run


class Labeller(AdmissionPlugin):
    """Appends its name to a label; refuses what `forbid` says."""

    def __init__(self, name: str, log: list[str], *, forbid: str = "") -> None:
        self._name = name
        self._log = log
        self._forbid = forbid

    async def mutate(self, request: AdmissionRequest) -> Any:
        if not request.is_pod_creation():
            return request.object
        self._log.append(f"mutate {self._name}")
        metadata = request.object.metadata
        labels = dict(metadata.labels or {})
        labels["seen"] = labels.get("seen", "") + self._name
        metadata.labels = labels
        return request.object

    async def validate(self, request: AdmissionRequest) -> None:
        if not request.is_pod_creation():
            return
        self._log.append(f"validate {self._name} {request.object.metadata.labels['seen']}")
        if self._forbid:
            raise errors.forbidden(request.resource, request.name, self._forbid)


def pod() -> core_v1.Pod:
    container = core_v1.Container(name="app", image="busybox")
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="web", namespace="default"),
        spec=core_v1.PodSpec(containers=[container]),
    )


def test_each_changes_what_the_one_before_made_and_all_judge_the_end() -> None:
    log: list[str] = []

    async def main() -> core_v1.Pod:
        api = await started([Labeller("a", log), Labeller("b", log)])
        return await api.client.create(pod())

    made = run(main())
    assert made.metadata is not None
    assert made.metadata.labels == {"seen": "ab"}
    assert log == ["mutate a", "mutate b", "validate a ab", "validate b ab"]


def test_a_refusal_is_the_answer_and_nothing_is_stored() -> None:
    log: list[str] = []

    async def main() -> None:
        plugins = [Labeller("a", log), Labeller("b", log, forbid="not today"), Labeller("c", log)]
        api = await started(plugins)
        with pytest.raises(ApiError) as refused:
            await api.client.create(pod())
        assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
        assert str(refused.value) == 'pods "web" is forbidden: not today'
        assert (await api.client.list(core_v1.Pod)).items == []

    run(main())
    assert "validate c abc" not in log
