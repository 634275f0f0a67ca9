"""The base that LoRA files are for, as far as names and shapes go: loaded, told by the files, or made of their own names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hubman import bases, tinybase
from hubman.lora.forms import kohya_namer
from hubman.lora.keys import Site, alias_table, split_name
from hubman.lora.kinds import Shape, fits
from hubman.lora.load import WeightOf
from registry.errors import HubError, UsageError
from registry.headers import Header, read_header
from registry.identify import identify

ADAPTER = "adapter_model.safetensors"
_KOHYA = re.compile(r"lora_(unet|te[123]?)_(.+)")
_COMPONENTS = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2", "te3": "text_encoder_3"}


@dataclass(frozen=True)
class Names:
    """The base that a file is for, as far as names and shapes go; with ``weight_of`` also its frozen weights."""

    base: str
    sites: Sequence[Site]
    weight_of: WeightOf | None = None
    parts: Sequence[Site] = ()
    """Parts of fused layers, which diffusers' files change one by one."""
    originals: Mapping[str, str] = field(default_factory=dict)
    """Original names of a transformer's modules by their paths."""
    reordered: frozenset[str] = frozenset()
    """Paths of layers whose rows diffusers has in another order."""
    header: Mapping[str, str] = field(default_factory=dict)
    """What kohya's header says of the base, for files that do not."""
    own: Mapping[str, Site] = field(default_factory=dict)
    """Modules by the names that kohya's files themselves give them, of a base that is not known here."""

    @property
    def table(self) -> Mapping[str, Site]:
        """Every name that files give the modules."""
        return {**self.own, **alias_table([*self.sites, *self.parts], self.originals)}

    @cached_property
    def kohya_name(self) -> Callable[[Site], str]:
        """What kohya's files call a module; it raises ``HubError`` for one without a name there."""
        namer, own = kohya_namer(self.sites, self.originals), {site: name for name, site in self.own.items()}
        return lambda site: own.get(site) or namer(site)


def files_of(source: Path) -> list[Path]:
    """The LoRA files of ``source``: itself, or what a folder of PEFT's holds."""
    files = sorted(source.rglob(ADAPTER)) if source.is_dir() else [source]
    if not files:
        raise UsageError(f"{source} holds no {ADAPTER}", "give a LoRA file, or a folder that PEFT wrote")
    return files


def names_for(files: Sequence[Path], base: Path | None) -> Names:
    """The names of the base at ``base``, else those that the files' architecture has.

    Of several files, such as the components of a folder of PEFT's, not each need tell. Raises ``HubError`` where none
    does.
    """
    if base:
        return _loaded(base)
    from hubman.lora.trees import sites_of_architecture

    found = (identify(read_header(each)).architecture for each in files)
    architecture = next(filter(None, found), "")
    if architecture == bases.EMBEDDED:
        return _loaded(tinybase.MODEL)
    return Names(architecture, sites_of_architecture(architecture))


def names_of(files: Mapping[str, Header], base: Path | None) -> Names:
    """As :func:`names_for`, for files of one architecture each with all that it changes; where the architecture has no
    tree here, or has been built in other sizes, the module names of kohya's files themselves.
    """
    if base:
        return _loaded(base)
    from hubman.lora.trees import ARCHITECTURES, sites_of_architecture

    architecture = next(filter(None, (identify(each).architecture for each in files.values())), "")
    if architecture in ARCHITECTURES:
        known = Names(architecture, sites_of_architecture(architecture))
        if covers(known, files.values()):
            return known
    return names_of_kohya({Path(file).name: header for file, header in files.items()})


def names_of_kohya(headers: Mapping[str, Header]) -> Names:
    """The modules that kohya's files (by their names) speak of, shapes read off their tensors, whatever the base is.

    Raises ``HubError`` for names that are not kohya's, for kinds whose shapes do not tell the module's, and where two
    files disagree about one.
    """
    own: dict[str, Site] = {}
    said_by: dict[str, str] = {}
    for file, header in headers.items():
        for name, shapes in _modules(file, header).items():
            site = _site(file, name, shapes)
            if own.setdefault(name, site) != site:
                raise HubError(
                    f"{name} is {_words(own[name])} in {said_by[name]} and {_words(site)} in {file}",
                    "take files that are for one base",
                )
            said_by.setdefault(name, file)
    return Names("the module names of the files", (), own=own)


def _words(site: Site) -> str:
    return " x ".join(map(str, site.shape))


def _modules(file: str, header: Header) -> dict[str, dict[str, Shape]]:
    modules: dict[str, dict[str, Shape]] = {}
    for name, tensor in header.tensors.items():
        found = split_name(name)
        if found is None or not _KOHYA.fullmatch(found[0]):
            raise HubError(f"{file} has {name}, a name that is not kohya's", "name the base that it is for with --base")
        modules.setdefault(found[0], {})[found[1]] = tensor.shape
    return modules


def _site(file: str, name: str, shapes: Mapping[str, Shape]) -> Site:
    part, path = _KOHYA.fullmatch(name).groups()  # type: ignore[union-attr]
    site = Site(_COMPONENTS.get(part, "unet"), path, _shape(shapes))
    if not site.shape or not fits(site, shapes):
        raise HubError(f"what {name} of {file} changes is not told by its tensors", "name its base with --base")
    return site


def _shape(shapes: Mapping[str, Shape]) -> Shape:
    """The shape of the weight that a plain LoRA, a full difference or a norm's change is of; else ()."""
    down, up, mid = (shapes.get(part, ()) for part in ("down", "up", "mid"))
    if "diff" in shapes:
        return shapes["diff"]
    if len(down) >= 2 and up:
        return (up[0], down[1], *(mid[2:] or down[2:]))
    return shapes.get("w_norm", shapes.get("b_norm", ()))


def _loaded(base: Path) -> Names:
    from hubman.generate.pipeline import load_base
    from hubman.train.architectures.fused import reordered

    loaded = load_base(base)
    identity = loaded.model.identity
    return Names(
        base=loaded.name,
        sites=tuple(loaded.modules),
        weight_of=loaded.weight_of,
        parts=tuple({site: None for site in loaded.table.values() if site.of}),
        originals=loaded.model.original_names,
        reordered=frozenset(reordered(loaded.model.denoiser)),
        header={
            "ss_base_model_version": identity.base_model_version,
            "ss_v2": str(identity.v2),
            "modelspec.sai_model_spec": "1.0.1",
            "modelspec.architecture": identity.modelspec,
            "modelspec.implementation": identity.implementation,
        },
    )


def covers(names: Names, headers: Iterable[Header]) -> bool:
    """Whether every module of the files is among the base's, in its shape."""
    table = names.table
    for header in headers:
        groups: dict[str, dict[str, Shape]] = {}
        for name, tensor in header.tensors.items():
            found = split_name(name)
            if found is None:
                return False
            groups.setdefault(found[0], {})[found[1]] = tensor.shape
        for name, shapes in groups.items():
            site = table.get(name)
            if site is None or not fits(site, shapes):
                return False
    return True
