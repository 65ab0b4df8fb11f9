"""Laws of all sections together, on Pods and presets by dice (spec/podpreset.md 7 L1, L10, and R10)."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.admission.plugins.pod_preset.sections.draws import pods, presets
from tests.admission.plugins.pod_preset.sections.support import admitted, errors, stored

CASES = settings(max_examples=80)


@CASES
@given(pods(), presets(["KeepPod", "SkipAll", "Override"], 3), st.booleans())
def test_a_second_admission_changes_nothing(pod: Any, many: Any, takes_over: bool) -> None:
    assume(not errors(pod))
    once = stored(admitted(pod, *many, identical_takes_over=takes_over).pod)
    assert admitted(once, *many, identical_takes_over=takes_over).pod == once


@CASES
@given(pods(), presets(["KeepPod", "SkipPreset", "SkipAll"], 3), st.booleans())
def test_nor_if_presets_are_undone(pod: Any, many: Any, takes_over: bool) -> None:
    assume(not errors(pod))
    once = stored(admitted(pod, *many, identical_takes_over=takes_over).pod)
    assert admitted(once, *many, identical_takes_over=takes_over).pod == once


@CASES
@given(pods(), presets(["KeepPod", "Override"], 2))
def test_a_valid_pod_stays_valid(pod: Any, many: Any) -> None:
    assume(not errors(pod))
    assert errors(admitted(pod, *many).pod) == []


@CASES
@given(pods(), presets(["KeepPod", "SkipAll", "Override"], 2))
def test_what_the_server_fills_in_before_makes_no_difference(pod: Any, many: Any) -> None:
    assume(not errors(pod))
    raw, filled = admitted(pod, *many), admitted(stored(pod), *many)
    assert [(n, p.key, _of(p.verdict)) for n, p in raw.told] == [
        (n, p.key, _of(p.verdict)) for n, p in filled.told
    ]
    assert errors(raw.pod) == errors(filled.pod) == []


def _of(verdict: str) -> str:
    """What is put where the author said nothing replaces what the server said."""
    return "replace" if verdict == "add" else verdict


@settings(max_examples=40)
@given(pods(), presets(["KeepPod", "Override"], 2))
def test_sections_change_nothing_themselves(pod: Any, many: Any) -> None:
    admitted(pod, *many, checked=True)
