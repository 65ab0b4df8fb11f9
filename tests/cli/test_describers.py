"""Describers against what a real cluster printed (tests/golden/kubectl)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from podward.cli.describers import generic
from podward.cli.describers.layout import align

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kubectl"
NOW = datetime(2026, 11, 23, 20, 22, 55, tzinfo=UTC)

PRESET = {
    "apiVersion": "settings.k8s.io/v1alpha1",
    "kind": "PodPreset",
    "metadata": {
        "name": "allow-database",
        "namespace": "default",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "creationTimestamp": "2026-11-23T19:53:07Z",
        "generation": 1,
        "managedFields": [{"manager": "kubectl"}],
        "resourceVersion": "302",
        "selfLink": "/apis/settings.k8s.io/v1alpha1/namespaces/default/podpresets/allow-database",
        "uid": "38580ce5-7cb9-4dcd-bf29-424a55a8ca0b",
    },
    "spec": {
        "env": [{"name": "DB_PORT", "value": "6379"}],
        "selector": {"matchLabels": {"role": "frontend"}},
        "volumeMounts": [{"mountPath": "/cache", "name": "cache-volume"}],
        "volumes": [{"emptyDir": {}, "name": "cache-volume"}],
    },
}


def test_a_kind_without_its_own_describer_reads_as_on_a_cluster() -> None:
    assert generic.describe(PRESET, [], NOW) == (GOLDEN / "podpreset.describe.txt").read_text()


def test_a_secrets_data_is_not_shown() -> None:
    secret = {"metadata": {"name": "s", "namespace": "n"}, "data": {"word": "aHVzaA=="}}
    text = generic.describe_secret(secret, [], NOW)
    assert "word:  4 bytes" in text
    assert "aHVzaA" not in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("text", "aligned"),
    [
        ("a\tb\nccc\td\n", "a    b\nccc  d\n"),
        ("a\tb\n\nccc\td\n", "a  b\n\nccc  d\n"),
        ("a\tb\tc\nlong\td\n", "a     b  c\nlong  d\n"),
        ("\tx\nab\ty\n", "    x\nab  y\n"),
        ("a\t\n", "a  \n"),
    ],
    ids=["a column", "two columns apart", "inner columns", "an empty cell", "an empty last cell"],
)
def test_cells_align_within_their_own_block(text: str, aligned: str) -> None:
    assert align(text) == aligned


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ("apiVersion", "API Version"),
        ("selfLink", "Self Link"),
        ("uid", "UID"),
        ("podIPs", "Pod I Ps"),
        ("spec", "Spec"),
    ],
)
def test_fields_are_labelled_as_kubectl_labels_them(field: str, label: str) -> None:
    assert generic.label_for(field) == label
