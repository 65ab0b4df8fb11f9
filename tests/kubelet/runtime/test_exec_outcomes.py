"""What an engine says at the end of a command."""

import json

import pytest

from podward.kubelet.runtime.base import RuntimeFailure
from podward.kubelet.runtime.cri.streams import exit_code


def failure(reason: str, message: str, *causes: tuple[str, str]) -> bytes:
    listed = [{"reason": r, "message": m} if r else {"message": m} for r, m in causes]
    status = {
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": 500,
    }
    return json.dumps({**status, "details": {"causes": listed}}).encode()


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (b'{"metadata":{},"status":"Success"}', 0),
        (failure("NonZeroExitCode", "ended with 3", ("ExitCode", "3")), 3),
        (failure("NonZeroExitCode", "ended with 137", ("Other", "9"), ("ExitCode", "137")), 137),
    ],
)
def test_an_exit_code(told: bytes, code: int) -> None:
    assert exit_code(told) == code


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (failure("InternalError", "Internal error occurred: no shim", ("", "no shim")), "no shim"),
        (failure("InternalError", "no shim"), "no shim"),
        (failure("NonZeroExitCode", "ended badly", ("ExitCode", "bad")), "ended badly"),
        (failure("NonZeroExitCode", "ended badly"), "ended badly"),
        (b'{"status":"Failure"}', "the engine gave no reason"),
        (b'{"status":"Failure","details":null,"message":"why"}', "why"),
        (b"not JSON", "not JSON"),
        (b"", "the engine broke off before it told how the command ended"),
    ],
)
def test_no_exit_code_is_a_failure_in_the_engines_words(told: bytes, words: str) -> None:
    with pytest.raises(RuntimeFailure) as failed:
        exit_code(told)
    assert str(failed.value) == words
