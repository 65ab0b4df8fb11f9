"""Runtime classes: a name for one of the engine's ways to run containers. Pure."""

import msgspec
from lightkube.models import core_v1, node_v1

from podward.api.errors import FieldError, field_duplicate, field_invalid
from podward.api.validation.names import dns_label, labels_errors
from podward.api.validation.pod import resources_errors, tolerations_errors


def runtime_class_errors(found: node_v1.RuntimeClass) -> list[FieldError]:
    errors = [field_invalid("handler", found.handler, p) for p in dns_label(found.handler or "")]
    if found.overhead is not None:
        fixed = core_v1.ResourceRequirements(limits=found.overhead.podFixed)
        errors += resources_errors(fixed, "overhead")  # a server says `overhead.limits` too
    scheduling = found.scheduling
    if scheduling is not None:
        errors += labels_errors(scheduling.nodeSelector, "scheduling.nodeSelector")
        tolerations = scheduling.tolerations or []
        errors += tolerations_errors(tolerations, "scheduling.tolerations")
        for index, toleration in enumerate(tolerations):
            if toleration in tolerations[:index]:
                where = f"scheduling.tolerations[{index}]"
                errors.append(field_duplicate(where, msgspec.to_builtins(toleration)))
    return errors


def runtime_class_update_errors(
    new: node_v1.RuntimeClass, old: node_v1.RuntimeClass
) -> list[FieldError]:
    if new.handler == old.handler:
        return []
    return [field_invalid("handler", new.handler, "field is immutable")]
