"""The diff of `podward preset explain`."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from podward.admission.plugins.pod_preset.model import Decision
from podward.api.yaml_printer import to_yaml
from podward.cli.preset_diff import diff_lines

BEFORE: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"name": "website"},
    "spec": {"containers": [{"name": "website", "image": "nginx"}]},
}
AFTER: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"name": "website", "annotations": {"podward.dev/presets": "{}"}},
    "spec": {
        "containers": [
            {"name": "website", "image": "nginx", "env": [{"name": "DB_PORT", "value": "6379"}]}
        ],
        "volumes": [{"name": "cache", "emptyDir": {}}],
    },
}


def decision(path: str, preset: str) -> Decision:
    return Decision(preset, path, path, "added")


def test_each_new_line_names_the_preset_that_put_it_there() -> None:
    lines = diff_lines(
        BEFORE,
        AFTER,
        [
            decision("/spec/containers/0/env/0", "podpreset/db"),
            decision("/spec/volumes/0", "podpreset/cache"),
        ],
    )
    said = {line.text.strip(): line.preset for line in lines if line.mark == "+"}
    assert said == {
        "annotations:": "",
        "podward.dev/presets: '{}'": "",
        "- env:": "",
        "- name: DB_PORT": "podpreset/db",
        'value: "6379"': "podpreset/db",
        "volumes:": "",
        "- emptyDir: {}": "podpreset/cache",
        "name: cache": "podpreset/cache",
    }
    assert not [line for line in lines if line.mark == "-"]


def test_what_was_replaced_is_shown_before_what_replaces_it() -> None:
    changed = {"spec": {"terminationGracePeriodSeconds": 60}}
    lines = diff_lines(
        {"spec": {"terminationGracePeriodSeconds": 5}},
        changed,
        [Decision("podpreset.podward.dev/g", "/spec/terminationGracePeriodSeconds", "x", "raised")],
    )
    assert [(line.mark, line.text, line.preset) for line in lines] == [
        (" ", "spec:", ""),
        ("-", "  terminationGracePeriodSeconds: 5", ""),
        ("+", "  terminationGracePeriodSeconds: 60", "podpreset.podward.dev/g"),
    ]


def test_an_author_s_line_is_never_attributed() -> None:
    lines = diff_lines(BEFORE, BEFORE, [decision("/spec", "podpreset/all")])
    assert {(line.mark, line.preset) for line in lines} == {(" ", "")}


texts = st.text(alphabet="ab: -#'\n\"1", min_size=1, max_size=6)
scalars = st.one_of(texts, st.integers(), st.booleans(), st.none())
documents = st.recursive(
    scalars,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(texts, below, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=60)
@given(before=st.dictionaries(texts, documents), after=st.dictionaries(texts, documents))
def test_the_lines_are_those_that_kubectl_would_print(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    lines = diff_lines(before, after, [])
    assert "\n".join(line.text for line in lines if line.mark != "-") + "\n" == to_yaml(after)
    if before == after:
        assert {line.mark for line in lines} == {" "}
