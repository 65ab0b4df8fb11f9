"""Which objects a request is about: labelSelector and fieldSelector together."""

from dataclasses import dataclass
from typing import Any, Final

from podward.api.errors import bad_request
from podward.apiserver.request import Request
from podward.apiserver.strategy import Strategy, metadata_of, selectable_fields
from podward.machinery.selectors import (
    FieldSelector,
    LabelSelector,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)

_COMMON: Final = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True, slots=True)
class Selection:
    strategy: Strategy
    labels: LabelSelector | None
    fields: FieldSelector | None

    @property
    def everything(self) -> bool:
        return self.labels is None and self.fields is None

    def matches(self, obj: Any) -> bool:
        if self.labels is not None and not self.labels.matches(metadata_of(obj).labels or {}):
            return False
        if self.fields is None:
            return True
        return self.fields.matches(selectable_fields(self.strategy, obj))


def selection(request: Request, strategy: Strategy, name: str = "") -> Selection:
    """What the query selects; 400 for selectors that cannot be read or fields that cannot be selected.

    `name`: a single object named by the path, as deprecated watch paths do.
    """
    label_text = request.query.get("labelSelector", "").strip()
    field_text = request.query.get("fieldSelector", "").strip()
    if name:
        field_text = ",".join(part for part in (field_text, f"metadata.name={name}") if part)
    try:
        labels = parse_label_selector(label_text) if label_text else None
        fields = parse_field_selector(field_text) if field_text else None
    except SelectorError as error:
        raise bad_request(str(error)) from None
    for label in fields.keys() if fields is not None else ():
        if label not in _COMMON and label not in strategy.selectable:
            raise bad_request(f"field label not supported: {label}")
    return Selection(strategy, labels, fields)
