"""Small verbs are quick because they import little, and every verb explains itself."""

import subprocess
import sys

import pytest

from podward.cli.main import VERBS

HEAVY = {
    "asyncio", "msgspec", "lightkube", "uvicorn", "grpc", "cryptography", "rich", "sqlite3", "yaml",
    "podward.api", "podward.apiserver", "podward.kubelet", "podward.cluster", "podward.standalone",
}  # fmt: skip
SMALL = {
    "get": set(),
    "logs": set(),
    "describe": set(),
    "version": set(),
    "delete": {"yaml", "podward.api"},
}


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("verb", SMALL)
def test_a_small_verb_imports_nothing_heavy(verb: str) -> None:
    code = f"import sys, podward.cli.main, podward.cli.{verb}; print(*sys.modules)"
    loaded = set(run(code).split())
    assert loaded & HEAVY - SMALL[verb] == set()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "podward", verb, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["get"], "Missing argument"),
        (["get", "pods", "--kubeconfig", "/does/not/exist"], "/does/not/exist"),
        (["up", "--listen", "nowhere"], "nowhere"),
        (["up", "--pod-presets", "wild"], "wild"),
        (["run", "/does/not/exist.yaml"], "/does/not/exist.yaml"),
        (["logs", "x", "--since", "soon", "--kubeconfig", "/none"], "/none"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "podward", *arguments], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
