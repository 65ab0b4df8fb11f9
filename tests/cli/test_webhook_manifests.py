"""`podward webhook manifests`, as an operator types it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from podward import __version__
from podward.api.yaml_loader import load_all
from podward.cli.errors import CliError
from podward.cli.webhook_manifests import command
from podward.machinery.certificates import make_authority

CA = make_authority("test", now=datetime(2026, 1, 1, tzinfo=UTC))


def manifests(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def refusal(*arguments: str) -> str:
    """The one line that is read when it cannot."""
    done = manifests(*arguments)
    assert done.exit_code != 0
    assert done.output.count("Traceback") == 0
    if isinstance(done.exception, CliError):
        return str(done.exception)
    return done.output.splitlines()[-1]


def test_what_is_printed_begins_with_the_way_out_and_the_image() -> None:
    text = manifests().output
    head = text[: text.index("---")]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "kubectl delete mutatingwebhookconfiguration podward-webhook" in head
    assert "Podward publishes none" in head
    assert f"podward:{__version__}" in head


def test_yaml_and_json_hold_the_same_objects() -> None:
    arguments = ("--legacy-crd", "--count-pods", "--cert-manager", "--name", "x")
    listed = json.loads(manifests("-o", "json", *arguments).output)
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    assert load_all(manifests(*arguments).output) == listed["items"]


def test_the_same_words_give_the_same_bytes() -> None:
    assert manifests("--replicas", "3").output == manifests("--replicas", "3").output


def test_lines_stay_readable() -> None:
    for line in manifests(
        "--legacy-crd", "--cert-manager", "--failure-policy", "Fail"
    ).output.splitlines():
        assert not line.startswith("#") or len(line) <= 110, line


def test_options_arrive() -> None:
    text = manifests("-n", "guards", "--name", "presets", "--image", "registry/x:1", "--replicas", "4",
                     "--failure-policy", "Fail", "--timeout", "2", "--mode", "compat").output  # fmt: skip
    for expected in ("namespace: guards", "image: registry/x:1", "replicas: 4", "failurePolicy: Fail",
                     "timeoutSeconds: 2", "- compat", "In here is registry/x:1."):  # fmt: skip
        assert expected in text


def test_outside_a_cluster_only_the_two_configurations_are_printed(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(CA.certificate)
    done = manifests("--dev-url", "https://127.0.0.1:9443/", "--ca-file", str(file))
    found = load_all(done.output)
    assert [d["kind"] for d in found] == [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ]
    assert found[0]["webhooks"][0]["clientConfig"]["url"] == "https://127.0.0.1:9443/mutate"
    assert "outside this cluster" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--namespace", "Guards"], "--namespace 'Guards': a lowercase RFC 1123 label"),
        (["--name", "a.b"], "--name 'a.b'"),
        (["--name", "9lives"], "must start with a letter"),
        (["--name", ""], "--name ''"),
        (["--image", " "], "--image is empty"),
        (["--replicas", "0"], "Invalid value for '--replicas'"),
        (["--timeout", "31"], "Invalid value for '--timeout'"),
        (["--failure-policy", "Maybe"], "Invalid value for '--failure-policy'"),
        (["--ca-file", "x"], "--ca-file is for --dev-url"),
        (["--dev-url", "https://h:1"], "--dev-url needs --ca-file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments: list[str], words: str) -> None:
    assert words in refusal(*arguments)


@pytest.mark.parametrize(
    "url",
    ["http://h:1", "https://h", "https://h:1/path", "https://u:p@h:1", "https://h:1?q", "https://h:x",
     "https://h:1#f", "https://:1", "h:1", "https://[::1"],
)  # fmt: skip
def test_a_url_that_no_api_server_would_take_is_refused(url: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(CA.certificate)
    assert "must be https://HOST:PORT and no more" in refusal(
        "--dev-url", url, "--ca-file", str(file)
    )


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    absent = refusal("--dev-url", "https://h:1", "--ca-file", str(tmp_path / "absent"))
    assert absent.endswith("No such file or directory")
    (tmp_path / "key").write_bytes(CA.key)
    assert "no PEM certificate" in refusal(
        "--dev-url", "https://h:1", "--ca-file", str(tmp_path / "key")
    )
