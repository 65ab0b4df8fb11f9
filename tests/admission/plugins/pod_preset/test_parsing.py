"""A document becomes a preset, or is refused as an API server would refuse it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.admission.plugins.pod_preset import shorthand

from podward.admission.plugins.pod_preset.model import InvalidPreset
from podward.admission.plugins.pod_preset.parse import preset_of


def document(**short: Any) -> dict[str, Any]:
    return shorthand.preset({"n": "cal", "env": ["A=1"], **short})


def test_what_a_preset_of_old_is() -> None:
    found = preset_of(document(rv="7"))
    assert (found.id, found.origin, found.namespace) == ("podpreset/cal", "settings", "edge")
    assert (found.priority, found.on_conflict, found.resource_version) == (0, "SkipAll", "7")
    assert (found.created, found.problems, found.selector_error) == ("", (), "")


def test_what_a_new_preset_is() -> None:
    found = preset_of(document(kind="podward", spec={"priority": 4, "onConflict": "KeepPod"}))
    assert (found.id, found.origin) == ("podpreset.podward.dev/cal", "namespaced")
    assert (found.priority, found.on_conflict) == (4, "KeepPod")


def test_what_a_cluster_preset_is() -> None:
    found = preset_of(document(kind="cluster"), namespace="edge")
    assert (found.id, found.origin, found.namespace) == ("clusterpodpreset/cal", "cluster", "")
    assert found.namespace_selector.matches({})


def test_a_preset_of_old_has_neither_priority_nor_strategy() -> None:
    found = preset_of(document(spec={"priority": 4, "onConflict": "Override"}))
    assert (found.priority, found.on_conflict) == (0, "SkipAll")


def test_the_namespace_is_the_documents_and_else_the_callers() -> None:
    bare = document()
    del bare["metadata"]["namespace"]
    assert preset_of(bare, namespace="core").namespace == "core"
    assert "namespace" not in bare["metadata"]
    assert preset_of(document(), namespace="core").namespace == "edge"
    with pytest.raises(InvalidPreset, match=r"metadata\.namespace: Required value"):
        preset_of(bare)


def test_stored_moments_may_be_texts_or_moments() -> None:
    written = document()
    written["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    assert preset_of(written).created == "2026-01-02T03:04:05Z"
    written["metadata"]["creationTimestamp"] = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert preset_of(written).created == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "Pod", "apiVersion": "v1"}, "Pod in version v1 is no preset"),
        ({"kind": None}, "None in version settings.k8s.io/v1alpha1 is no preset"),
        ({"apiVersion": "podward.dev/v2"}, "PodPreset in version podward.dev/v2 is no preset"),
        ({"spec": {"env": "A"}}, "cannot be handled as a PodPreset"),
        ({"spec": []}, "cannot be handled as a PodPreset"),
        ({"metadata": {"namespace": "edge"}}, "metadata.name: Required value"),
        ({"metadata": 7}, "metadata.name: Required value"),
        ({"spec": None}, "must specify at least one"),
    ],
    ids=str,
)
def test_what_is_no_preset_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPreset, match=message):
        preset_of({**document(), **changed}, namespace="edge")


def test_every_mistake_is_told_in_the_servers_words() -> None:
    with pytest.raises(InvalidPreset) as caught:
        preset_of(document(n="Cal", vol=["a=empty"], mnt=["b:/x"]))
    assert [error.field for error in caught.value.errors] == [
        "metadata.name", "spec.volumeMounts[0].name"
    ]  # fmt: skip
    assert str(caught.value).startswith(
        'PodPreset.settings.k8s.io "Cal" is invalid: [metadata.name: '
    )


def test_a_new_preset_must_say_which_pods() -> None:
    written = document(kind="podward")
    del written["spec"]["selector"]
    with pytest.raises(InvalidPreset, match=r"spec\.selector: Required value"):
        preset_of(written)


@pytest.mark.parametrize("kind", ["settings", "podward", "cluster"])
def test_the_hash_is_of_the_meaning(kind: str) -> None:
    def of(**short: Any) -> str:
        return preset_of(document(kind=kind, **short)).spec_hash

    plain = of(vol=["s=sec:s", {"name": "e"}], env=["IP<field:status.podIP"])
    field = {
        "name": "IP",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
    }
    assert of(vol=["s=sec:s,mode=420", "e=empty"], env=[field]) == plain
    assert len(plain) == 16
    assert of(vol=["s=sec:t", "e=empty"], env=[field]) != plain
    # Metadata is none of the meaning; fields of a newer Kubernetes are.
    assert of(rv="9") == of(rv="10")
    assert of(spec={"novelty": 1}) != of()


def test_what_is_written_stays_as_it_is_written() -> None:
    written = document(vol=[{"name": "v", "emptyDir": {"sizeLimit": "1024Mi"}, "novelty": [1]}])
    assert preset_of(written).spec == written["spec"]
