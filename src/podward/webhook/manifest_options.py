"""What `podward webhook manifests` can be told."""

from dataclasses import dataclass, field
from typing import Literal

from lightkube.models import meta_v1

from podward.webhook.naming import Installation


@dataclass(frozen=True, slots=True)
class ManifestOptions:
    image: str
    installation: Installation = field(default_factory=Installation)
    replicas: int = 2
    failure_policy: Literal["Ignore", "Fail"] = "Ignore"
    timeout_seconds: int = 5
    self_managed: bool = True
    """Otherwise cert-manager makes the certificates."""
    mode: Literal["safe", "compat"] = "safe"
    legacy: bool = False
    """settings.k8s.io too."""
    count_pods: bool = False

    @property
    def labels(self) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": "podward-webhook",
            "app.kubernetes.io/instance": self.installation.name,
        }

    def meta(self) -> meta_v1.ObjectMeta:
        """Of an object in the webhook's namespace that has its name."""
        return meta_v1.ObjectMeta(
            name=self.installation.name,
            namespace=self.installation.namespace,
            labels=self.labels,
        )
