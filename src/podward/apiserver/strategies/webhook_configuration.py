"""Configurations of admission webhooks: what they desire is their `webhooks`."""

from typing import Any

from podward.apiserver.strategy import Strategy


class WebhookConfigurationStrategy(Strategy):
    tracks_generation = True

    def desired(self, obj: Any) -> Any:
        return obj.webhooks

    def warnings_for_create(self, obj: Any) -> list[str]:
        return [
            f"webhooks[{index}].clientConfig.service: Podward serves no Services, so every call will fail; "
            "give a url"
            for index, webhook in enumerate(obj.webhooks or ())
            if webhook.clientConfig.service is not None
        ]

    def warnings_for_update(self, new: Any, old: Any) -> list[str]:
        return self.warnings_for_create(new) if new.webhooks != old.webhooks else []
