"""Label selectors as documents. Pure."""

from lightkube.models import meta_v1

from podward.api.errors import FieldError, field_forbidden, field_invalid, field_required
from podward.api.validation.names import label_value, labels_errors, qualified_name


def selector_errors(selector: meta_v1.LabelSelector, path: str) -> list[FieldError]:
    """The values of expressions are not looked at, as ever: `selector_value_errors` does that."""
    found = labels_errors(selector.matchLabels, f"{path}.matchLabels")
    for index, expression in enumerate(selector.matchExpressions or ()):
        where = f"{path}.matchExpressions[{index}]"
        if expression.operator in ("In", "NotIn"):
            if not expression.values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                found.append(field_required(f"{where}.values", detail))
        elif expression.operator in ("Exists", "DoesNotExist"):
            if expression.values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                found.append(field_forbidden(f"{where}.values", detail))
        else:
            detail = "not a valid selector operator"
            found.append(field_invalid(f"{where}.operator", expression.operator, detail))
        problems = qualified_name(expression.key)
        found += [field_invalid(f"{where}.key", expression.key, p) for p in problems]
    return found


def selector_value_errors(selector: meta_v1.LabelSelector, path: str) -> list[FieldError]:
    """Values that no label can have: a selector with one cannot be evaluated."""
    return [
        field_invalid(f"{path}.matchExpressions[{index}].values[{number}]", value, problem)
        for index, expression in enumerate(selector.matchExpressions or ())
        for number, value in enumerate(expression.values or ())
        for problem in label_value(value)
    ]
