"""What a prompt names, found in the library: LoRAs by what their tags call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hubman import bases
from hubman.generate import prompt as prompts
from hubman.generate.prompt_slots import fill_slots
from hubman.generate.prompt_tags import tag_name
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sliders import is_slider
from registry import here, library, lineage, prompt_name, scan
from registry.database import Registry
from registry.errors import HubError, NotFoundError

DEFAULT_STRENGTH = 0.8


def lora_use(registry: Registry, version_id: str, strength: float | None = None) -> LoraUse:
    """A version as part of a picture, at its recommended strength unless another is given.

    Raises :class:`HubError` when its file is not on this machine.
    """
    version = library.version(registry, scan.hashed(registry, version_id))
    model = library.show(registry, version.model_id)
    lying = here.file_of(version)
    if lying is None:
        hint = here.how_to_get(registry.db, model.id, model.name)
        raise HubError(f"the file of {model.name} is not on this machine", hint)
    file, place = lying
    chosen = version.strength if version.strength is not None else DEFAULT_STRENGTH
    return LoraUse(
        path=str(place),
        name=tag_name(prompt_name.of(model, version)),
        sha256=file.sha256,
        strength=chosen if strength is None else strength,
        trigger_words=version.trigger_words,
        slider=is_slider(model, version),
    )


def find_lora(registry: Registry, name: str) -> LoraUse:
    """The LoRA that ``<lora:name:…>`` means. Raises :class:`NotFoundError`."""
    try:
        return lora_use(registry, prompt_name.find(registry, name)[1])
    except NotFoundError as error:
        raise NotFoundError(
            f"the prompt names a LoRA {name} that is not in the library", "hubman ls shows what is there"
        ) from error


def read_prompt(
    registry: Registry, text: str, negative: str, settings: DrawRequest, slots: Mapping[str, str] | None = None
) -> DrawRequest:
    """``settings`` with the words and LoRAs of a typed prompt, whose slots ``{name}`` are filled in first."""
    negative = fill_slots(negative, slots or {})
    prompts.refuse_tags(negative)
    parsed = prompts.parse(fill_slots(text, slots or {}))
    uses = prompts.loras_of(parsed, lambda name: find_lora(registry, name))
    return msgspec.structs.replace(settings, prompt=parsed.text, negative=negative, loras=uses)


def located(registry: Registry, request: DrawRequest) -> DrawRequest:
    """``request`` with each LoRA file where it lies now, found by its SHA-256. Raises :class:`NotFoundError`."""
    loras = tuple(
        use if Path(use.path).is_file() else msgspec.structs.replace(use, path=_place(registry, use))
        for use in request.loras
    )
    return msgspec.structs.replace(request, loras=loras)


def _place(registry: Registry, use: LoraUse) -> str:
    version = library.version(registry, library.resolve(registry, use.sha256)[1])
    for file in version.files:
        if file.sha256 == use.sha256 and (place := here.place_of(file)):
            return str(place)
    hint = here.how_to_get(registry.db, version.model_id, use.name)
    raise NotFoundError(f"the file of {use.name} is not on this machine", hint)


@dataclass(frozen=True)
class LibrarySources:
    """What the axes of a grid name, found in the library and on this machine."""

    registry: Registry

    def lora(self, name: str) -> LoraUse:
        """What ``<lora:name:…>`` means."""
        return find_lora(self.registry, name)

    def epochs(self, use: LoraUse) -> Sequence[tuple[int | None, LoraUse]]:
        """The states of its training that are on this machine; the last one's number may not be known."""
        version = library.version(self.registry, library.resolve(self.registry, use.sha256)[1])
        states = lineage.of(self.registry, version).epochs
        return [(state.epoch, lora_use(self.registry, state.version_id)) for state in states]

    def base(self, ref: str) -> tuple[str, str, str]:
        """(name, path, ''): a base is told by its path."""
        path = bases.find(ref)
        return bases.display_name(path), str(path), ""
