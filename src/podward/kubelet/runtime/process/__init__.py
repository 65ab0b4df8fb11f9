"""The process runtime: containers as sandboxed process trees of this machine, no engine needed."""

from podward.kubelet.runtime.process.runtime import ProcessRuntime

__all__ = ["ProcessRuntime"]
