"""The CRI runtime against a containerd of the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from tests.contracts import runtime as contract
from tests.engine.containerd import Containerd

from podward.kubelet.runtime.base import Runtime
from podward.kubelet.runtime.cri import CriRuntime, observer
from podward.machinery.clock import SystemClock


def maker(engine: Containerd, instance: str) -> Callable[[], Runtime]:
    def make() -> Runtime:
        return CriRuntime(str(engine.socket), instance=instance, clock=SystemClock())

    return make


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that looks meet everything else that happens."""
    monkeypatch.setattr(observer, "RELIST_SECONDS", 0.05)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check: contract.Check, containerd: Containerd, tmp_path: Path) -> None:
    async def main() -> None:
        await check(maker(containerd, tmp_path.name), tmp_path / "logs")

    uvloop.run(main())
