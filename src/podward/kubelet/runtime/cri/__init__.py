"""The CRI runtime: containers of an engine (containerd, CRI-O) that is asked over its socket, runtime.v1."""

from podward.kubelet.runtime.cri.runtime import CriRuntime

__all__ = ["CriRuntime"]
