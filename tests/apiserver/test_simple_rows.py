"""Rows of kinds that need no thought."""

from datetime import UTC, datetime

from lightkube.models import core_v1, meta_v1, node_v1

from podward.api.scheme import SCHEME
from podward.apiserver.printers.table import printer_for

NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
META = meta_v1.ObjectMeta(name="x", creationTimestamp=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_template_tells_what_its_pods_would_be() -> None:
    printer = printer_for(SCHEME.of_type(core_v1.PodTemplate))
    assert [column.name for column in printer.columns] == [
        "Name", "Containers", "Images", "Pod Labels",
    ]  # fmt: skip
    containers = [core_v1.Container("a", image="busybox"), core_v1.Container("b", image="nginx")]
    template = core_v1.PodTemplateSpec(
        metadata=meta_v1.ObjectMeta(labels={"b": "2", "a": "1"}),
        spec=core_v1.PodSpec(containers=containers),
    )
    whole = core_v1.PodTemplate(metadata=META, template=template)
    assert printer.cells(whole, NOW) == ["x", "a,b", "busybox,nginx", "a=1,b=2"]
    assert printer.cells(core_v1.PodTemplate(metadata=META), NOW) == ["x", "", "", "<none>"]


def test_a_runtime_class_tells_its_handler() -> None:
    printer = printer_for(SCHEME.of_type(node_v1.RuntimeClass))
    assert [column.name for column in printer.columns] == ["Name", "Handler", "Age"]
    assert printer.cells(node_v1.RuntimeClass("kata", metadata=META), NOW) == ["x", "kata", "5m"]
