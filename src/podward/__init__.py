"""Podward keeps Pods healthy: the Kubernetes pod-health system as one program."""

__version__ = "0.1.0"
