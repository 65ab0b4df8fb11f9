"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: servers outside are asked what they make of a write.

| question | module |
|---|---|
| what a configuration says, read once | `model.py` (pure) |
| whether a webhook is to be asked | `matching.py` (pure), `current.py` for what it needs from the store |
| what is sent, and what an answer may say | `review.py` (pure) |
| how one is asked, and what a failure says | `calling.py` |
| what becomes of an answer, or of there being none | `outcome.py` |
| who is asked when | `mutating.py`, `validating.py` |
"""

from podward.admission.plugins.admission_webhooks.mutating import MutatingAdmissionWebhook
from podward.admission.plugins.admission_webhooks.validating import ValidatingAdmissionWebhook

__all__ = ["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"]
