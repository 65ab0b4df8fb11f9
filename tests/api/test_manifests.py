"""YAML as kubectl reads it, and what it says of what it cannot read."""

import pytest

from podward.api.yaml_loader import ManifestError, load_all, load_one


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-02", "2026-01-02"),
        ("12:30:45", "12:30:45"),
        ("yes", True),
        ("off", False),
        ("n", False),
        ("0644", 420),
        ("0o644", 420),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("~", None),
        ("", None),
        ("'yes'", "yes"),
        ("text", "text"),
        ("-5", -5),
    ],
)
def test_scalars_are_what_kubectl_takes_them_for(text: str, value: object) -> None:
    assert load_one(f"a: {text}\n".encode()) == {"a": value}


def test_documents_come_one_by_one_and_empty_ones_not_at_all() -> None:
    assert list(load_all(b"---\na: 1\n---\n# nothing\n---\nb: 2\n")) == [{"a": 1}, {"b": 2}]


def test_anchors_and_merges_are_resolved() -> None:
    assert load_one(b"x: &x {a: 1}\ny: {<<: *x, b: 2}\n")["y"] == {"a": 1, "b": 2}


def test_keys_are_text() -> None:
    assert load_one(b"1: a\ntrue: b\n") == {"1": "a", "true": "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: [", "line"),
        (b"a: 1\na: 2\n", "already set in map"),
        (b"a: b: c\n", "line 1"),
        (b"\xff\xfe\x00", ""),
        (b"a: !!python/object:os.system x\n", ""),
    ],
    ids=["open bracket", "a key twice", "two colons", "no text at all", "a tag of Python's"],
)
def test_what_cannot_be_read_says_where(text: bytes, said: str) -> None:
    with pytest.raises(ManifestError) as refused:
        load_one(text)
    assert said in str(refused.value)
