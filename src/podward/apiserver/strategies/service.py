"""Services: stored, and answered for by nobody. Here is no proxy and no DNS; so no address is given out."""

from typing import Any

import msgspec

from podward.apiserver.strategy import Strategy

UNSERVED = (
    "nothing serves Services here: it is stored, and gets no address and no name; "
    "Pods are reached at their own addresses"
)
HEADLESS = "None"


class ServiceStrategy(Strategy):
    def warnings_for_create(self, obj: Any) -> list[str]:
        return [UNSERVED]

    def prepare_for_update(self, new: Any, old: Any) -> Any:
        """What was said once of its address holds if it is not said again."""
        new = super().prepare_for_update(new, old)
        spec, held = new.spec, old.spec
        if "ExternalName" in (spec.type, held.type) or spec.clusterIP or not held.clusterIP:
            return new
        kept = msgspec.structs.replace(spec, clusterIP=held.clusterIP, clusterIPs=held.clusterIPs)
        return msgspec.structs.replace(new, spec=kept)
