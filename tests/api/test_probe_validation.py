"""Probes and hooks that are refused: the field, and the words (spec/health.md 1.2 and 1.3)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.support import Causes, causes, pod

EXEC = {"exec": {"command": ["true"]}}
HTTP: dict[str, Any] = {"path": "/", "port": 80}
KINDS = ["livenessProbe", "readinessProbe", "startupProbe"]
INTEGERS = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
]
NEGATIVE = "must be greater than or equal to 0"
RANGE = "must be between 1 and 65535, inclusive"
TWO_HANDLERS = "Forbidden: may not specify more than 1 handler type"
HEADER = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
    "regex used for validation is '[-A-Za-z0-9]+')"
)


def probe_causes(kind: str, probe: dict[str, Any], **container: Any) -> Causes:
    """Paths below the probe; empty for the probe itself."""
    root = f"spec.containers[0].{kind}"
    found = causes(pod({kind: probe, **container}))
    assert all(path.startswith(root) for path, _ in found)
    return [(path.removeprefix(root).lstrip("."), message) for path, message in found]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "handler",
    [
        EXEC,
        {"httpGet": {"port": 80}},
        {"httpGet": {"port": "web", "scheme": "HTTPS", "host": "example.com", "path": "/a?b=c"}},
        {"tcpSocket": {"port": 65535}},
        {"tcpSocket": {"port": "a-port"}},
        {"grpc": {"port": 1, "service": "s"}},
    ],
    ids=["exec", "http", "https", "tcp", "a named port", "grpc"],
)
def test_a_probe_with_one_handler_is_valid(kind: str, handler: dict[str, Any]) -> None:
    assert probe_causes(kind, handler) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_without_a_handler_is_refused(kind: str) -> None:
    assert probe_causes(kind, {}) == [("", "Required value: must specify a handler type")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("handlers", "extra"),
    [
        (EXEC | {"httpGet": {"port": 80}}, ["httpGet"]),
        (EXEC | {"grpc": {"port": 80}}, ["grpc"]),
        ({"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}, ["tcpSocket"]),
        ({"tcpSocket": {"port": 80}, "grpc": {"port": 80}}, ["grpc"]),
        (
            {"grpc": {"port": 0}, "tcpSocket": {"port": 0}, "httpGet": {"port": 0}, **EXEC},
            ["httpGet", "tcpSocket", "grpc"],
        ),
    ],
    ids=["exec and http", "exec and grpc", "http and tcp", "tcp and grpc", "all four"],
)
def test_every_handler_after_the_first_is_refused_unseen(
    kind: str, handlers: dict[str, Any], extra: list[str]
) -> None:
    assert probe_causes(kind, handlers) == [(name, TWO_HANDLERS) for name in extra]


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ({"exec": {}}, [("exec.command", "Required value")]),
        ({"exec": {"command": []}}, [("exec.command", "Required value")]),
        (
            {"httpGet": HTTP | {"scheme": "http"}},
            [("httpGet.scheme", 'Unsupported value: "http": supported values: "HTTP", "HTTPS"')],
        ),
        (
            {"httpGet": HTTP | {"scheme": "ftp", "port": 0}},
            [
                ("httpGet.port", f"Invalid value: 0: {RANGE}"),
                ("httpGet.scheme", 'Unsupported value: "ftp": supported values: "HTTP", "HTTPS"'),
            ],
        ),
        (
            {"httpGet": HTTP | {"httpHeaders": [{"name": "X Y", "value": "1"}]}},
            [("httpGet.httpHeaders", f'Invalid value: "X Y": {HEADER}')],
        ),
        (
            {"httpGet": HTTP | {"httpHeaders": [{"name": "", "value": "1"}]}},
            [("httpGet.httpHeaders", f'Invalid value: "": {HEADER}')],
        ),
        (
            {"httpGet": HTTP | {"httpHeaders": [{"name": "a:", "value": ""}, {"name": "X-Ok"}]}},
            [("httpGet.httpHeaders", f'Invalid value: "a:": {HEADER}')],
        ),
        ({"grpc": {"port": 65536}}, [("grpc.port", f"Invalid value: 65536: {RANGE}")]),
        ({"tcpSocket": {"port": -1}}, [("tcpSocket.port", f"Invalid value: -1: {RANGE}")]),
    ],
    ids=[
        "no command", "an empty command", "a small scheme", "port and scheme", "a space in a header",
        "an empty header", "a colon in a header", "grpc beyond the last port", "a negative port",
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_handler(handler: dict[str, Any], expected: Causes) -> None:
    assert probe_causes("livenessProbe", handler) == expected


CHARACTERS = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
LETTER = "must contain at least one letter (a-z)"
ENDS = "must not begin or end with a hyphen"


@pytest.mark.parametrize("handler", ["httpGet", "tcpSocket"])
@pytest.mark.parametrize(
    ("port", "problems"),
    [
        ("8080", [LETTER]),
        ("a" * 16, ["must be no more than 15 characters"]),
        ("Web", [CHARACTERS]),
        ("a_b", [CHARACTERS]),
        ("a--b", ["must not contain consecutive hyphens"]),
        ("-a", [ENDS]),
        ("a-", [ENDS]),
        ("", [CHARACTERS, LETTER]),
        ("-", [LETTER, ENDS]),
        ("A--" + "1" * 15, ["must be no more than 15 characters", CHARACTERS, LETTER,
                            "must not contain consecutive hyphens"]),
    ],
    ids=["digits", "long", "a capital", "an underscore", "two hyphens", "a hyphen first",
         "a hyphen last", "empty", "only a hyphen", "four rules at once"],
)  # fmt: skip
def test_a_port_name_breaks_each_rule_by_itself(
    handler: str, port: str, problems: list[str]
) -> None:
    found = probe_causes("livenessProbe", {handler: {"port": port}})
    assert found == [(f"{handler}.port", f'Invalid value: "{port}": {p}') for p in problems]


@pytest.mark.parametrize("field", INTEGERS)
def test_a_negative_number_is_refused(field: str) -> None:
    found = probe_causes("readinessProbe", EXEC | {field: -1})
    assert found == [(field, f"Invalid value: -1: {NEGATIVE}")]


def test_all_negative_numbers_are_told_in_their_order() -> None:
    found = probe_causes("readinessProbe", EXEC | dict.fromkeys(INTEGERS, -7))
    assert found == [(field, f"Invalid value: -7: {NEGATIVE}") for field in INTEGERS]


@pytest.mark.parametrize("kind", ["livenessProbe", "startupProbe"])
@pytest.mark.parametrize(
    ("threshold", "messages"),
    [
        (0, []),
        (1, []),
        (2, ["Invalid value: 2: must be 1"]),
        (-1, [f"Invalid value: -1: {NEGATIVE}", "Invalid value: -1: must be 1"]),
    ],
    ids=["zero is absent", "one", "two", "both rules"],
)
def test_one_success_is_enough_to_be_alive_or_started(
    kind: str, threshold: int, messages: list[str]
) -> None:
    found = probe_causes(kind, EXEC | {"successThreshold": threshold})
    assert found == [("successThreshold", message) for message in messages]


def test_readiness_may_ask_for_many_successes() -> None:
    assert probe_causes("readinessProbe", EXEC | {"successThreshold": 50}) == []


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(INTEGERS, st.integers(0, 2**31 - 1))))
def test_numbers_have_no_upper_bound(numbers: dict[str, int]) -> None:
    assert probe_causes("readinessProbe", EXEC | numbers) == []


@pytest.mark.parametrize(
    ("kind", "grace", "messages"),
    [
        ("livenessProbe", 1, []),
        ("startupProbe", 100_000, []),
        ("livenessProbe", 0, ["Invalid value: 0: must be greater than 0"]),
        ("startupProbe", -1, ["Invalid value: -1: must be greater than 0"]),
        ("readinessProbe", 10, ["Invalid value: 10: must not be set for readinessProbes"]),
    ],
)
def test_the_grace_of_a_probe(kind: str, grace: int, messages: list[str]) -> None:
    found = probe_causes(kind, EXEC | {"terminationGracePeriodSeconds": grace})
    assert found == [("terminationGracePeriodSeconds", message) for message in messages]


def test_the_three_probes_are_told_in_their_order() -> None:
    found = causes(pod({kind: {} for kind in reversed(KINDS)}))
    assert [path for path, _ in found] == [f"spec.containers[0].{kind}" for kind in KINDS]
