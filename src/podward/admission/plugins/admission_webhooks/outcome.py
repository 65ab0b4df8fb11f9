"""What becomes of an answer, or of there being none."""

import logging

import msgspec

from podward.admission.base import AdmissionRequest
from podward.admission.plugins.admission_webhooks.calling import CallFailed
from podward.admission.plugins.admission_webhooks.model import Webhook
from podward.admission.plugins.admission_webhooks.review import Verdict, audit_annotations
from podward.api import errors
from podward.api.errors import ApiStatusError

log = logging.getLogger(__name__)


def give_way(webhook: Webhook, failure: CallFailed) -> None:
    """What failurePolicy says: the request goes on, or it ends here."""
    if not webhook.fails_open:
        log.warning("%s: the request is refused", failure)
        raise errors.internal_error(str(failure))
    log.warning("%s: the request goes on without it", failure)


def take(verdict: Verdict, webhook: Webhook, request: AdmissionRequest) -> None:
    """Hand on what the webhook says beside its patch. Raises `ApiStatusError` if it denies the request."""
    request.warnings.extend(verdict.warnings)
    kept, dropped = audit_annotations(webhook.name, verdict.audit)
    if kept:
        log.info("audit: %s of %s %s: %s", request.operation, request.resource.plural,
                 request.name, msgspec.json.encode(kept).decode())  # fmt: skip
    if dropped:
        log.warning("webhook %s: no keys of audit annotations: %s", webhook.name, dropped)
    if verdict.status is not None:
        raise ApiStatusError(verdict.status)
