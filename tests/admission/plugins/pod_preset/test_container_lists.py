"""Lists under `spec.containers` go into the containers that the entry chooses, those at the top into all."""

from typing import Any

import pytest
from tests.admission.plugins.pod_preset import shorthand

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import Preset
from podward.admission.plugins.pod_preset.parse import preset_of


def preset(*entries: dict[str, Any], name: str = "ops", **short: Any) -> Preset:
    written = [
        {"match": entry.pop("match", {}), **shorthand.lists(entry)} for entry in map(dict, entries)
    ]
    spec = {"containers": written, **short.pop("spec", {})}
    return preset_of(shorthand.preset({"n": name, "kind": "podward", "spec": spec, **short}))


POD = shorthand.pod(
    {
        "c": [{"n": "app"}, {"n": "web-proxy"}],
        "i": [{"n": "prep"}, {"n": "mesh", "spec": {"restartPolicy": "Always"}}],
    }
)


def reached(match: dict[str, Any]) -> set[str]:
    result = admit(POD, [preset({"match": match, "env": ["A=1"]})], namespace="edge")
    spec = result.pod["spec"]
    return {c["name"] for c in [*spec["containers"], *spec["initContainers"]] if "env" in c}


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ({}, {"app", "web-proxy", "prep", "mesh"}),
        ({"names": ["*-proxy", "prep"]}, {"web-proxy", "prep"}),
        ({"class": "app"}, {"app", "web-proxy"}),
        ({"class": "init"}, {"prep"}),
        ({"class": "sidecar"}, {"mesh"}),
        ({"names": ["nobody"]}, set()),
    ],
    ids=str,
)
def test_which_containers_an_entry_reaches(match: dict[str, Any], names: set[str]) -> None:
    assert reached(match) == names


def test_the_whole_presets_lists_come_before_an_entrys() -> None:
    found = preset({"match": {"class": "app"}, "env": ["B=1"]}, {"env": ["C=1"]}, env=["A=1"])
    result = admit(POD, [found], namespace="edge")
    app, prep = result.pod["spec"]["containers"][0], result.pod["spec"]["initContainers"][0]
    assert app["env"] == [shorthand.env(e) for e in ("A=1", "B=1", "C=1")]
    assert prep["env"] == [shorthand.env(e) for e in ("A=1", "C=1")]


def test_an_entry_mounts_the_presets_volume_and_reads_sources() -> None:
    entry = {"match": {"names": ["app"]}, "mnt": ["v:/v"], "from": ["cm:f"]}
    result = admit(POD, [preset(entry, vol=["v=empty"])], namespace="edge")
    app, other = result.pod["spec"]["containers"]
    assert (app["volumeMounts"], app["envFrom"]) == (
        [shorthand.mount("v:/v")],
        [shorthand.env_from("cm:f")],
    )
    assert other == POD["spec"]["containers"][1]
    assert (
        result.provenance["/spec/containers/app/envFrom/configMap:f"] == "podpreset.podward.dev/ops"
    )


def test_what_a_higher_priority_wants_everywhere_stands_against_an_entry() -> None:
    first = preset(name="a", env=["A=1"], spec={"priority": 1, "containers": []})
    second = preset({"env": ["A=2", "B=1"]}, name="b", spec={"onConflict": "KeepPod"})
    result = admit(POD, [first, second], namespace="edge")
    assert {c["env"][0]["value"] for c in result.pod["spec"]["containers"]} == {"1"}
    assert len(result.conflicts) == 4


def test_a_preset_of_old_has_no_entries() -> None:
    short = {"n": "cal", "env": ["A=1"], "spec": {"containers": [{"env": [shorthand.env("B=1")]}]}}
    result = admit(POD, [preset_of(shorthand.preset(short))], namespace="edge")
    assert result.pod["spec"]["containers"][0]["env"] == [shorthand.env("A=1")]


def test_injected_containers_get_the_lists_as_well() -> None:
    sidecar = {
        "sidecars": [{"name": "log", "image": "l", "restartPolicy": "Always"}],
        "containers": [],
    }
    result = admit(POD, [preset(env=["A=1"], spec=sidecar)], namespace="edge")
    log = result.pod["spec"]["initContainers"][-1]
    assert (log["name"], log["env"]) == ("log", [shorthand.env("A=1")])
