"""What a container leaves to say, where its end is told."""

from typing import Any

import pytest
from tests.kubelet.support import live, pod, shell

LONG = "i=0; while [ $i -lt 100 ]; do echo line-$i; i=$((i+1)); done"
WIDE = f"i=0; while [ $i -lt 100 ]; do echo {'w' * 60}$i; i=$((i+1)); done"
FALL_BACK = "FallbackToLogsOnError"


def said(script: str, policy: str) -> str:
    container: dict[str, Any] = {"command": shell(script), "terminationMessagePolicy": policy}
    recording = live(pod([container], restartPolicy="Never"), 10)
    status = recording.changes[-1].pod.status
    assert status is not None
    assert status.containerStatuses
    one = status.containerStatuses[0]
    assert one.state is not None
    assert one.state.terminated is not None
    return one.state.terminated.message or ""


@pytest.mark.parametrize(
    ("script", "policy", "message"),
    [
        (f"{LONG}; exit 1", FALL_BACK, "".join(f"line-{i}\n" for i in range(20, 100))),
        (f"{WIDE}; exit 1", FALL_BACK, "".join(f"{'w' * 60}{i}\n" for i in range(100))[-2048:]),
        (f"{LONG}; exit 0", FALL_BACK, ""),
        (f"{LONG}; exit 1", "File", ""),
        ("exit 1", FALL_BACK, ""),
    ],
    ids=["last lines", "last bytes", "no error", "no fallback", "nothing said"],
)
def test_last_words_come_from_the_log_by_policy(script: str, policy: str, message: str) -> None:
    assert said(script, policy) == message
