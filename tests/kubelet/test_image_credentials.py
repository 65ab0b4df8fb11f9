"""Which credentials are tried for which image."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1, meta_v1

from podward.kubelet.image_credentials import (
    CredentialsError,
    Keyring,
    MachineCredentials,
    credentials_for,
    matches,
    places_of,
    read_docker_config,
)
from podward.kubelet.runtime.base import Credentials
from podward.machinery.clock import LoopClock
from podward.simulate import virtual_loop
from podward.simulate.simulation import EPOCH


def keyring(*places: str) -> Keyring:
    return Keyring({place: Credentials(place) for place in places})


def fitting(repository: str, *places: str) -> list[str]:
    return [one.username for one in keyring(*places).look_up(repository)]


@pytest.mark.parametrize(
    ("key", "repository", "fits"),
    [
        ("registry.io", "registry.io/team/app", True),
        ("registry.io", "other.io/team/app", False),
        ("registry.io", "sub.registry.io/app", False),
        ("registry.io/team", "registry.io/team/app", True),
        ("registry.io/team", "registry.io/other/app", False),
        ("registry.io/team/app", "registry.io/team/app", True),
        ("registry.io/team/app/x", "registry.io/team/app", False),
        ("registry.io/team", "registry.io/teamwork/app", True),  # letter by letter, as a kubelet
        ("*.registry.io", "eu.registry.io/app", True),
        ("*.registry.io", "registry.io/app", False),
        ("*.registry.io", "a.eu.registry.io/app", False),
        ("*.*.registry.io", "a.eu.registry.io/app", True),
        ("eu-*.registry.io", "eu-1.registry.io/app", True),
        ("eu-*.registry.io", "us-1.registry.io/app", False),
        ("eu[0-9].registry.io", "eu1.registry.io/app", True),
        ("eu[^0-9].registry.io", "eu1.registry.io/app", False),
        ("*.registry.io/team", "eu.registry.io/team/app", True),
        ("registry.io/*", "registry.io/team", False),  # no wildcards in paths
        ("registry.io:5000", "registry.io:5000/app", True),
        ("registry.io", "registry.io:5000/app", False),
        ("registry.io:5000", "registry.io/app", False),
        ("registry.io:*", "registry.io:5000/app", False),  # nor in ports
        ("[::1]:5000", "[::1]:5000/app", True),
        ("[::1]:5000", "[::2]:5000/app", False),
    ],
)
def test_where_credentials_fit(key: str, repository: str, fits: bool) -> None:
    assert matches(key, repository) is fits


@pytest.mark.parametrize(
    ("places", "repository", "tried"),
    [
        (["registry.io", "registry.io/team"], "registry.io/team/app",
         ["registry.io/team", "registry.io"]),
        (["https://registry.io/v1/"], "registry.io/app", ["https://registry.io/v1/"]),
        (["http://registry.io/v2/"], "registry.io/app", ["http://registry.io/v2/"]),
        (["registry.io/v2/team"], "registry.io/team/app", ["registry.io/v2/team"]),
        (["https://index.docker.io/v1/"], "docker.io/library/nginx", ["https://index.docker.io/v1/"]),
        (["https://index.docker.io/v1/"], "quay.io/app", []),
        (["docker.io", "https://index.docker.io/v1/"], "docker.io/library/nginx", ["docker.io"]),
        (["index.docker.io"], "localhost/app", ["index.docker.io"]),  # no dot, no port: a kubelet's guess
        (["index.docker.io"], "localhost:5000/app", []),
        (["registry.io:port:5000"], "registry.io/app", []),
        (["https://[broken"], "broken/app", []),
    ],
)  # fmt: skip
def test_which_are_tried_and_in_which_order(
    places: list[str], repository: str, tried: list[str]
) -> None:
    assert fitting(repository, *places) == tried


def test_two_sets_for_one_place_are_both_tried() -> None:
    held = Keyring({"registry.io": Credentials("a")}, {"https://registry.io": Credentials("b")})
    assert [one.username for one in held.look_up("registry.io/app")] == ["a", "b"]


names = st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){1,2}(:[0-9]{4})?", fullmatch=True)
paths = st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), min_size=1, max_size=3)


@given(names, paths, st.data())
def test_a_host_and_every_path_above_an_image_fit_it_longest_first(
    host: str, path: list[str], data: st.DataObject
) -> None:
    above = ["/".join([host, *path[:count]]) for count in range(len(path) + 1)]
    repository = above[-1]
    shuffled = data.draw(st.permutations(above))
    assert fitting(repository, *shuffled) == sorted(above, key=len, reverse=True)


@given(names, names, paths)
def test_credentials_never_go_to_another_host(host: str, other: str, path: list[str]) -> None:
    found = fitting("/".join([other, *path]), host, f"https://{host}/v1/", f"{host}/{path[0]}")
    assert bool(found) == (host == other)


def secret(type_: str, key: str, text: str) -> core_v1.Secret:
    data = {key: base64.b64encode(text.encode()).decode()}
    return core_v1.Secret(metadata=meta_v1.ObjectMeta(name="s"), type=type_, data=data)


def auth(name: str, password: str) -> str:
    return base64.b64encode(f"{name}:{password}".encode()).decode()


ENTRY = {"registry.io": {"auth": auth("me", "a:b")}}
MODERN = secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", json.dumps({"auths": ENTRY}))
OLD = secret("kubernetes.io/dockercfg", ".dockercfg", json.dumps(ENTRY))


@pytest.mark.parametrize("one", [MODERN, OLD])
def test_both_types_of_secrets_are_read(one: core_v1.Secret) -> None:
    assert credentials_for("registry.io/app:1", [one], {}) == [Credentials("me", "a:b")]


def test_a_secret_of_another_type_is_none() -> None:
    assert places_of([secret("Opaque", ".dockerconfigjson", json.dumps({"auths": ENTRY}))]) == []
    assert places_of([secret("Opaque", ".dockercfg", json.dumps(ENTRY))]) == []
    assert places_of([secret("kubernetes.io/dockercfg", ".dockerconfigjson", "{}")]) == []


def test_the_pods_secrets_go_before_the_machines_own_and_each_is_tried_once() -> None:
    machine = {"registry.io": Credentials("machine"), "*.io": Credentials("me", "a:b")}
    assert credentials_for("registry.io/app", [MODERN, OLD], machine) == [
        Credentials("me", "a:b"), Credentials("machine"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"username": "u", "password": "p"}, Credentials("u", "p")),
        ({"username": "u", "password": "p", "auth": auth("me", "x")}, Credentials("me", "x")),
        ({"auth": auth("me", "x").rstrip("=")}, Credentials("me", "x")),
        ({"auth": auth("me", "")}, Credentials("me", "")),
        ({"username": "u", "email": "u@x", "other": 1}, Credentials("u")),
    ],
)
def test_how_an_entry_says_who_one_is(entry: dict[str, Any], found: Credentials) -> None:
    text = json.dumps({"auths": {"registry.io": entry}, "credsStore": "pass"}).encode()
    assert read_docker_config(text) == {"registry.io": found}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "truncated"),
        ('{"auths": []}', "Expected `object`"),
        ('{"auths": {"a": {"auth": "%%%"}}}', "illegal base64"),
        ('{"auths": {"a": {"auth": "bm9jb2xvbg=="}}}', "must be formatted as base64"),
    ],
)
def test_what_is_no_set_of_credentials_is_told(text: str, words: str) -> None:
    with pytest.raises(CredentialsError, match=words):
        read_docker_config(text.encode())


@pytest.mark.parametrize(
    ("files", "user"),
    [
        ({}, None),
        ({"var/lib/kubelet/config.json": "a", "home/.docker/config.json": "b"}, "a"),
        ({"home/.docker/config.json": "b", "var/lib/kubelet/.dockercfg": "c"}, "b"),
        ({"var/lib/kubelet/.dockercfg": "c", "home/.dockercfg": "d"}, "c"),
        ({".docker/config.json": "e", "home/.dockercfg": "d"}, "e"),
        ({"var/lib/kubelet/config.json": "", "home/.docker/config.json": "b"}, "b"),
    ],
)
def test_which_file_of_the_machine_counts(
    files: dict[str, str], user: str | None, tmp_path: Path
) -> None:
    for name, who in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = {"registry.io": {"username": who, "password": "p"}}
        held = entries if name.endswith(".dockercfg") else {"auths": entries}
        path.write_text(json.dumps(held) if who else "broken")

    async def main() -> str | None:
        machine = MachineCredentials(LoopClock(EPOCH), home=tmp_path / "home", root=tmp_path)
        found = machine.places().get("registry.io")
        return found.username if found else None

    assert virtual_loop.run(main()) == user


def test_the_machines_files_are_read_again_after_five_minutes(tmp_path: Path) -> None:
    path = tmp_path / "var/lib/kubelet/config.json"
    path.parent.mkdir(parents=True)

    async def main() -> list[int]:
        import asyncio

        machine = MachineCredentials(LoopClock(EPOCH), home=None, root=tmp_path)
        seen = [len(machine.places())]
        path.write_text(json.dumps({"auths": ENTRY}))
        for wait in (299, 2):
            await asyncio.sleep(wait)
            seen.append(len(machine.places()))
        os.unlink(path)
        await asyncio.sleep(301)
        return [*seen, len(machine.places())]

    assert virtual_loop.run(main()) == [0, 0, 1, 0]
