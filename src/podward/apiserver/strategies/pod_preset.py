"""Presets. Those of settings.k8s.io never change once they are made; those of podward.dev may."""

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from lightkube.models import core_v1

from podward.api.kinds import podward_v1alpha1 as own
from podward.api.kinds import settings_v1alpha1 as settings
from podward.apiserver.strategy import Strategy

_FROZEN = "spec of a PodPreset cannot be changed: delete it and create it again"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


class SettingsPodPresetStrategy(Strategy):
    """settings.k8s.io: a change of the spec is dropped without an error, as a server of 1.19 did it."""

    tracks_generation = True

    def prepare_for_update(self, new: Any, old: Any) -> Any:
        return msgspec.structs.replace(new, spec=old.spec)

    def warnings_for_create(self, obj: Any) -> list[str]:
        spec = obj.spec or settings.PodPresetSpec()
        selector = spec.selector
        found = [*_contradictions(spec.env or (), spec.volumeMounts or (), "spec")]
        if selector is None or not (selector.matchLabels or selector.matchExpressions):
            found.append("spec.selector is empty: it selects every Pod of the namespace")
        return found

    def warnings_for_update(self, new: Any, old: Any) -> list[str]:
        return [_FROZEN] if new.spec != old.spec else []


class PodPresetStrategy(Strategy):
    """podward.dev, of a namespace or of the cluster."""

    tracks_generation = True

    def prepare_for_create(self, obj: Any) -> Any:
        return msgspec.structs.replace(obj, status=None)

    def warnings_for_create(self, obj: Any) -> list[str]:
        spec = obj.spec or own.PodPresetSpec()
        found = [*_contradictions((), spec.volumeMounts or (), "spec")]
        for index, section in enumerate(spec.containers or ()):
            path = f"spec.containers[{index}]"
            found += _contradictions((), section.volumeMounts or (), path)
            if not (section.match and section.match.images):
                found += [_not_opted_in(where) for where in _commands(section, path)]
        return found

    def warnings_for_update(self, new: Any, old: Any) -> list[str]:
        return self.warnings_for_create(new) if new.spec != old.spec else []


def _contradictions(
    env: Iterable[core_v1.EnvVar], mounts: Iterable[core_v1.VolumeMount], path: str
) -> Iterator[str]:
    """What is legal, and clashes with itself in every Pod."""
    variables: dict[str, core_v1.EnvVar] = {}
    for variable in env:
        if variables.setdefault(variable.name, variable) != variable:
            yield f"{path}.env names {variable.name} twice and differently: it conflicts with itself"
    places: dict[str, str] = {}
    for mount in mounts:
        place = posixpath.normpath(mount.mountPath)
        if places.setdefault(place, mount.mountPath) != mount.mountPath:
            yield (
                f"{path}.volumeMounts: {places[place]} and {mount.mountPath} are one path: it conflicts "
                "with itself"
            )


def _commands(section: own.ContainerSection, path: str) -> Iterator[str]:
    """Where a section runs a command in the container."""
    for kind in _PROBES:
        probe: own.ProbePreset | None = getattr(section, kind)
        if probe is not None and probe.value is not None and probe.value.exec is not None:
            yield f"{path}.{kind}"
    hooks = section.lifecycle.value if section.lifecycle is not None else None
    for name in ("postStart", "preStop") if hooks is not None else ():
        hook = getattr(hooks, name)
        if hook is not None and hook.exec is not None:
            yield f"{path}.lifecycle.value.{name}"


def _not_opted_in(where: str) -> str:
    return (
        f"{where}: a command is only put into containers that are chosen by match.images, and none are: it "
        "will be skipped"
    )
