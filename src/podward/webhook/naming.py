"""Names that the program and its manifests must agree on: who is told one of them finds the others."""

from collections.abc import Sequence
from dataclasses import dataclass

MUTATE_PATH = "/mutate"
VALIDATE_PATH = "/validate"
OVERRIDE_VERB = "override"
"""What a preset's writer must be allowed on presets to say `onConflict: Override` or `mode: override`."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One webhook in one cluster: its namespace and the name that all of it has."""

    namespace: str = "podward-system"
    name: str = "podward-webhook"
    """Of the Service, and so of the server in its certificate; of Deployment, ServiceAccount, Lease and both
    webhook configurations too."""

    @property
    def managed_secret(self) -> str:
        """Where a self-managed installation keeps its authority and its certificate."""
        return f"{self.name}-certificates"

    @property
    def issued_secret(self) -> str:
        """Where cert-manager puts the certificate."""
        return f"{self.name}-tls"

    @property
    def lease(self) -> str:
        return self.name

    @property
    def configuration(self) -> str:
        """Of the MutatingWebhookConfiguration and of the ValidatingWebhookConfiguration."""
        return self.name

    def server_names(self, more: Sequence[str] = ()) -> tuple[str, ...]:
        """What the certificate must say: an API server asks for the first; `more` are names or addresses."""
        service = f"{self.name}.{self.namespace}.svc"
        return tuple(dict.fromkeys((service, f"{service}.cluster.local", *more)))
