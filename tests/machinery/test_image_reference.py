"""Names of images: what is one, what it is short for, and the words for what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.image_reference import (
    ImageReference,
    InvalidReference,
    parse,
    with_default_tag,
)

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("team/app", "docker.io/team/app"),
        ("library/nginx", "docker.io/library/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/nginx", "docker.io/library/nginx"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:2", "localhost:5000/app:2"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"),
        ("[::1]:5000/app", "[::1]:5000/app"),
        ("UPPER/app", "UPPER/app"),  # what has capitals before the slash can only be a registry
        (f"nginx@sha256:{HEX}", f"docker.io/library/nginx@sha256:{HEX}"),
        (f"nginx:1@sha256:{HEX}", f"docker.io/library/nginx:1@sha256:{HEX}"),
        ("my__app/a--b", "docker.io/my__app/a--b"),
    ],
)
def test_a_short_name_is_completed(text: str, whole: str) -> None:
    assert str(parse(text)) == whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid reference format"),
        ("nginx:", "invalid reference format"),
        (":1", "invalid reference format"),
        ("nginx latest", "invalid reference format"),
        ("http://registry/app", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("-app", "invalid reference format"),
        ("app:" + "t" * 129, "invalid reference format"),
        (
            "Nginx",
            "invalid reference format: repository name (library/Nginx) must be lowercase",
        ),
        (
            "registry.io/Team/app:1",
            "invalid reference format: repository name (Team/app) must be lowercase",
        ),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("a/" * 130 + "b", "repository name must not be more than 255 characters"),
        ("nginx@sha256:abc", "invalid reference format"),
        ("nginx@sha256:" + "a" * 40, "invalid checksum digest length"),
        ("nginx@sha256:" + "A" * 64, "invalid checksum digest format"),
        ("nginx@md5:" + "a" * 32, "unsupported digest algorithm"),
    ],
)
def test_what_is_no_name_is_refused_in_an_engines_words(text: str, words: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        parse(text)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("nginx", "nginx:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        ("nginx:1.25", "nginx:1.25"),
        (f"nginx@sha256:{HEX}", f"nginx@sha256:{HEX}"),
    ],
)
def test_only_the_tag_is_added_to_what_is_asked_for(text: str, asked: str) -> None:
    assert with_default_tag(text) == asked


parts = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,8})?", fullmatch=True)
domains = st.one_of(
    st.just("docker.io"),
    st.from_regex(r"[a-z0-9]{1,8}\.[a-z]{2,3}(:[0-9]{2,5})?", fullmatch=True),
)
tags = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))


@given(domains, st.lists(parts, min_size=2, max_size=4), tags, st.booleans())
def test_a_whole_name_is_read_back_as_it_was(
    domain: str, path: list[str], tag: str, digest: bool
) -> None:
    reference = ImageReference(domain, "/".join(path), tag, f"sha256:{HEX}" if digest else "")
    assert parse(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidReference:
        return
    assert parse(str(reference)) == reference
