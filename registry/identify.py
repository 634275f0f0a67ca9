"""What a model file is, judged from its header alone: names and shapes first, metadata where they don't tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter

import msgspec

from registry.headers import Header
from registry.identify_base import TINY_BASE_NAME, TINY_WIDTH, base_model
from registry.identify_evidence import Evidence, Family
from registry.identify_families import family
from registry.identify_kinds import Kind, control_kind, kind
from registry.identify_modules import Adapted
from registry.identify_network import Alpha, Network, alpha, commonest, network, number
from registry.identify_parts import naming, trained_parts
from registry.identify_stated import prediction, settled, shortened, statements
from registry.identify_triggers import triggers
from registry.identify_unets import cross_attention


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is. ``reasons`` says of each finding why; ``guesses`` names those that are usage, not evidence.

    ``architecture``: ``sd1 sd2 sdxl sd3 flux flux2 chroma z-image qwen wan tiny`` or another family; ``variant``: which
    member of it; ``base_model``: Civitai's exact name; ``kind``: ``lora`` or one of :class:`registry.identify_kinds.Kind`;
    ``network_type``: ``lora locon dora loha lokr glora oft boft ia3 full norm``, and ``mix`` the modules by type where there
    are several; ``format``: whose names the tensors have (:func:`registry.identify_parts.naming`); ``parts``: what is
    trained or held, such as ``unet te``, and ``part_modules`` how many modules of it. ``rank`` and ``alpha`` are the
    commonest among the modules, ``ranks`` and ``alphas`` the least and the largest, ``rank_modules`` the modules by rank.
    ``contradictions`` are sentences: what the metadata says and the tensors don't.
    """

    kind: str
    format: str
    architecture: str | None = None
    variant: str | None = None
    base_model: str | None = None
    network_type: str | None = None
    mix: dict[str, int] = {}
    features: tuple[str, ...] = ()
    rank: int | None = None
    ranks: tuple[int, int] | None = None
    rank_modules: dict[int, int] = {}
    alpha: float | None = None
    alphas: tuple[float, float] | None = None
    dtype: str | None = None
    prediction: str | None = None
    parts: tuple[str, ...] = ()
    part_modules: dict[str, int] = {}
    modules: int = 0
    trigger_candidates: tuple[str, ...] = ()
    title: str | None = None
    reasons: dict[str, str] = {}
    guesses: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()


def identify(header: Header, first_alpha: float | None = None, alphas: Iterable[float] = ()) -> Identity:
    """Identify a file; ``first_alpha`` is its first alpha tensor's value if that was read
    (:func:`registry.headers.read_alpha`), ``alphas`` all their values if all were.
    """
    metadata = header.metadata
    adapted = Adapted(header)
    control = control_kind(adapted)
    by_tensors = _tiny(adapted, metadata) or (control.family if control else None) or family(adapted)
    what = control or (Kind("lora") if adapted.layout.is_adapter else kind(adapted, by_tensors))
    if what.family or what.value in _NO_DENOISER:
        by_tensors = what.family
    elif by_tensors and what.value not in _WHOLE:
        by_tensors = Family(by_tensors.architecture, by_tensors.reason)
    said = statements(metadata)
    found, contradictions = settled(by_tensors, said)
    base = base_model(found, metadata, said)
    is_lora = what.value == "lora"
    net = network(adapted) if is_lora else None
    rank = _rank(net, metadata)
    said_alpha = alpha(first_alpha, rank.value if rank else None, metadata, alphas) if is_lora else None
    if rank and rank.contradiction:
        contradictions += (rank.contradiction,)
    if said_alpha and said_alpha.contradiction:
        contradictions += (said_alpha.contradiction,)
    return _identity(header, adapted, what, found, base, net, rank, said_alpha, contradictions)


_NO_DENOISER = frozenset({"vae", "embedding", "upscaler", "text-encoder", "image-encoder", "motion"})
_WHOLE = frozenset({"lora", "checkpoint"})
"""Kinds that go with one member of a family, where there are several."""


class _Rank(msgspec.Struct, frozen=True):
    value: int
    reason: str
    contradiction: str | None = None


def _identity(
    header: Header, adapted: Adapted, what: Kind, found: Family | None, base: tuple[Evidence, bool] | None,
    net: Network | None, rank: _Rank | None, said_alpha: Alpha | None, contradictions: tuple[str, ...],
) -> Identity:  # fmt: skip
    metadata, architecture = header.metadata, found.architecture if found else None
    form = naming(adapted.layout, what.value, metadata)
    dtype, said_dtype = _dtype(header)
    predicts = prediction(metadata, header.tensors)
    words = triggers(metadata)
    parts = trained_parts(adapted.layout, architecture) if net else dict.fromkeys(what.parts, 0)
    variant = what.variant or (found.variant if found else None)
    reasons = {
        "kind": what.reason or (f"it adapts {len(adapted.layout.modules)} modules of a model" if net else ""),
        "format": form.reason,
        "architecture": found.reason if found else "",
        "variant": variant.reason if variant else "",
        "base_model": base[0].reason if base else "",
        "network_type": net.reason if net else "",
        "rank": rank.reason if rank else "",
        "alpha": said_alpha.reason if said_alpha else "",
        "dtype": said_dtype,
        "prediction": predicts.reason if predicts else "",
        "trigger_candidates": "; ".join(f"{shortened(word)}: {reason}" for word, reason in words.items()),
        "title": "modelspec.title says so" if (title := _title(metadata)) else "",
    }
    if net:
        reasons |= {"parts": "the beginnings of the modules' names say so", **net.features}
    return Identity(
        kind=what.value,
        format=form.value,
        architecture=architecture,
        variant=variant.value if variant else None,
        base_model=base[0].value if base else None,
        network_type=net.type if net else None,
        mix=dict(net.mix) if net else {},
        features=tuple(net.features) if net else (),
        rank=rank.value if rank else None,
        ranks=(min(net.ranks), max(net.ranks)) if net and net.ranks else None,
        rank_modules=dict(sorted(net.ranks.items(), key=lambda item: -item[1])) if net else {},
        alpha=said_alpha.value if said_alpha else None,
        alphas=said_alpha.spread if said_alpha else None,
        dtype=dtype,
        prediction=predicts.value if predicts else None,
        parts=tuple(parts),
        part_modules=parts if net else {},
        modules=len(adapted.layout.modules) if net else 0,
        trigger_candidates=tuple(words),
        title=title,
        reasons={name: reason for name, reason in reasons.items() if reason},
        guesses=tuple(
            name
            for name, is_one in (("architecture", found and found.is_guess), ("base_model", base and base[1]))
            if is_one
        ),
        contradictions=contradictions,
    )


def _tiny(adapted: Adapted, metadata: Mapping[str, str]) -> Family | None:
    """The embedded base model, which says so itself."""
    if metadata.get("ss_sd_model_name") != TINY_BASE_NAME:
        return None
    cross = cross_attention(adapted)
    if cross is None or cross[1] != TINY_WIDTH:
        return None
    return Family("tiny", f"cross-attention is {TINY_WIDTH} wide and the metadata names the embedded base model")


def _rank(net: Network | None, metadata: Mapping[str, str]) -> _Rank | None:
    if net is None:
        return None
    stated = number(metadata.get("ss_network_dim"))
    dim = int(stated) if stated is not None and 0 < stated < 1 << 31 else None
    common = commonest(net.ranks)
    if common is None:
        return _Rank(dim, "ss_network_dim says so; the shapes don't tell") if dim is not None else None
    total = sum(net.ranks.values())
    mixed = f", the others {min(net.ranks)} to {max(net.ranks)}: mixed" if len(net.ranks) > 1 else ""
    contradiction = None
    if dim is not None and dim not in net.ranks and net.type in _OF_STATED_RANK:
        contradiction = f"ss_network_dim says {dim}, but no module has that rank: it was resized"
    return _Rank(common, f"{net.ranks[common]} of {total} modules have rank {common}{mixed}", contradiction)


_OF_STATED_RANK = frozenset({"lora", "locon", "dora"})


_DTYPES = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}


_TYPE = attrgetter("dtype")


def _dtype(header: Header) -> tuple[str | None, str]:
    """The type that most of the bytes have."""
    types = set(map(_TYPE, header.tensors.values()))
    if not types:
        return None, ""
    if len(types) == 1:
        name = types.pop()
        return _DTYPES.get(name, name.lower()), f"all its tensors are {name}"
    sizes: Counter[str] = Counter()
    for tensor in header.tensors.values():
        sizes[tensor.dtype] += tensor.offsets[1] - tensor.offsets[0]
    name, size = sizes.most_common(1)[0]
    total = sizes.total()
    return _DTYPES.get(name, name.lower()), f"{100 * size // total if total else 0} % of its bytes are {name}"


def _title(metadata: Mapping[str, str]) -> str | None:
    """A title that a person gave: trainers repeat the output's name there, which the file's name tells better."""
    title = metadata.get("modelspec.title", "").strip()
    return title if title and title != metadata.get("ss_output_name") else None
