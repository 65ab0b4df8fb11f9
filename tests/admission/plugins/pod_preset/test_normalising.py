"""What is the same thing in another spelling, where the table of cases has no row for it."""

from typing import Any

import pytest

from podward.admission.plugins.pod_preset.model import Mode
from podward.admission.plugins.pod_preset.normalise import ListName, clean_path, item_of


def same(name: ListName, one: dict[str, Any], other: dict[str, Any]) -> tuple[bool, bool]:
    """(in compat, in safe mode); it is the same from both sides."""
    modes: tuple[Mode, ...] = ("compat", "safe")
    pairs = ((one, other), (other, one))
    found = [item_of(name, a).same_as(b, mode) for a, b in pairs for mode in modes]
    assert found[:2] == found[2:]
    return found[0], found[1]


def volume(**source: Any) -> dict[str, Any]:
    return {"name": "v", **source}


CLAIM = {"accessModes": ["ReadWriteOnce"]}


def claimed(**template: Any) -> dict[str, Any]:
    return volume(ephemeral={"volumeClaimTemplate": template})


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (volume(emptyDir={}), volume(emptyDir={}, secret=None), (True, True)),
        (volume(csi={"driver": "d"}), volume(csi={"driver": "d", "readOnly": False}), (False, True)),
        (volume(csi={"driver": "d"}), volume(csi={"driver": "d", "volumeAttributes": {}}), (False, True)),
        (volume(nfs={"server": "s", "path": "/"}),
         volume(nfs={"server": "s", "path": "/", "readOnly": False}), (True, True)),
        (volume(gcePersistentDisk={"pdName": "p"}),
         volume(gcePersistentDisk={"pdName": "p", "partition": 0}), (True, True)),
        (volume(fc={"wwids": ["w"]}), volume(fc={"wwids": ["w"], "lun": 0}), (False, False)),
        (volume(rbd={"monitors": ["m"], "image": "i"}),
         volume(rbd={"monitors": ["m"], "image": "i", "pool": "rbd", "user": "admin",
                     "keyring": "/etc/ceph/keyring"}), (True, True)),
        (volume(azureDisk={"diskName": "d", "diskURI": "u"}),
         volume(azureDisk={"diskName": "d", "diskURI": "u", "readOnly": False, "kind": "Shared",
                           "fsType": "ext4", "cachingMode": "ReadWrite"}), (True, True)),
        (claimed(spec=CLAIM), claimed(metadata={}, spec={**CLAIM, "volumeMode": "Filesystem"}), (True, True)),
        (claimed(spec=CLAIM), claimed(spec={**CLAIM, "storageClassName": ""}), (False, False)),
        (volume(emptyDir={"sizeLimit": 1024}), volume(emptyDir={"sizeLimit": "1024"}), (True, True)),
        (volume(emptyDir={"sizeLimit": "0.5Gi"}), volume(emptyDir={"sizeLimit": "512Mi"}), (False, True)),
    ],
    ids=[
        "null", "a pointer to false", "an empty map", "a plain false", "a plain nought",
        "a pointer to nought", "what rbd has by default", "what a disk has by default",
        "an empty struct and a filled-in mode", "no storage class and the default one",
        "a number for a quantity", "a fraction",
    ],
)  # fmt: skip
def test_volumes(one: dict[str, Any], other: dict[str, Any], verdict: tuple[bool, bool]) -> None:
    assert same("volumes", one, other) == verdict


def test_a_source_that_is_there_though_it_is_empty() -> None:
    assert same("volumes", volume(image={}), volume()) == (False, False)


def test_what_no_pod_can_hold_is_compared_as_it_stands() -> None:
    broken = {"name": "A", "value": {"deep": 1}}
    assert item_of("env", {"name": "A", "value": "1"}).same_as(broken, "safe") is False
    assert item_of("env", {"name": "A", "value": "1"}).same_as("A=1", "safe") is False


@pytest.mark.parametrize(
    ("path", "clean"),
    [("/a/", "/a"), ("//a", "/a"), ("/a/./b/../c", "/a/c"), ("a", "/a"), ("/", "/"), ("", ""), ("/..", "/")],
)  # fmt: skip
def test_where_a_path_leads_to(path: str, clean: str) -> None:
    assert clean_path(path) == clean
