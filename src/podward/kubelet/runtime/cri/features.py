"""What an engine can, as it tells of itself: `RuntimeConfig` and `Status`."""

import contextlib
from typing import Any, Literal

import msgspec

from podward.kubelet.runtime.base import Features
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient, Unimplemented


async def engine_features(client: CriClient) -> Features:
    status = await client.runtime("Status", pb.StatusRequest(verbose=True), pb.StatusResponse, 10)
    driver: Literal["cgroupfs", "systemd"]
    try:
        config = await client.runtime(
            "RuntimeConfig", pb.RuntimeConfigRequest(), pb.RuntimeConfigResponse, 10
        )
        driver = "systemd" if config.linux.cgroup_driver == pb.SYSTEMD else "cgroupfs"
    except Unimplemented:  # containerd before 2.0
        driver = driver_told(status.info.get("config", ""))
    return Features(
        cgroup_driver=driver,
        security_contexts=True,
        own_network=True,
        supplemental_groups_policy=status.features.supplemental_groups_policy,
    )


def driver_told(config: str) -> Literal["cgroupfs", "systemd"]:
    """From the configuration that containerd shows; who says nothing of it makes its cgroups itself."""
    with contextlib.suppress(msgspec.DecodeError, AttributeError):
        told: dict[str, Any] = msgspec.json.decode(config or "{}")
        engine = told.get("containerd") or {}
        name = engine.get("defaultRuntimeName") or "runc"
        options = ((engine.get("runtimes") or {}).get(name) or {}).get("options") or {}
        if options.get("SystemdCgroup"):
            return "systemd"
    return "cgroupfs"
