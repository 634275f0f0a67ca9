"""Keep what a sweep found with the version: recommended strength and range, and the pictures that show it.

They are facts with the source ``sweep``: what a person said of a strength stays and is shown first.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman.generate.curve import SEEDS, Curve
from hubman.generate.suggestion import Suggestion, suggest_strength
from hubman.generate.sweep import StrengthSweep
from hubman.generate.told import as_generation
from registry import library, previews
from registry.database import Registry
from registry.decodable import decodable
from registry.errors import DamagedFileError, NotFoundError, UsageError
from registry.fields import SOURCES
from registry.records import VersionRow

SOURCE = "sweep"
PICTURES = 4
"""At most so many pictures at the recommended strength are shown with the version, one for each of the first seeds."""
FIELDS = ("strength_min", "strength", "strength_max")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of the version now. ``own`` names what a person had said, and so stayed."""

    version_id: str
    strength: float | None
    minimum: float | None
    maximum: float | None
    reason: str
    pictures: tuple[str, ...]
    """SHA-256 of the previews."""
    own: tuple[str, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A finished strength sweep, and what it suggests."""

    sweep_id: str
    version_id: str
    plan: StrengthSweep
    curve: Curve
    suggestion: Suggestion


def newest(registry: Registry, version_id: str) -> str:
    """The id of the newest strength sweep of a version. Raises ``NotFoundError`` where there is none."""
    sql = "SELECT id FROM sweeps WHERE version_id = ? AND curve <> 'null' ORDER BY created_at DESC, id DESC"
    row = registry.db.execute(sql, (version_id,)).fetchone()
    if row is None:
        raise NotFoundError("no strength of it was swept on this machine", "hubman sweep REF PROMPT draws such a curve")
    return str(row["id"])


def keep(registry: Registry, sweep_id: str) -> Kept:
    """Store the strength that a finished strength sweep suggests, with its range and pictures.

    Raises ``NotFoundError`` for an unknown sweep, and ``UsageError`` where it suggests nothing, has fewer than four seeds, or
    contradicts what a person said; then nothing is stored.
    """
    sweep = found(registry, sweep_id)
    version_id, suggestion, seeds = sweep.version_id, sweep.suggestion, sweep.curve.seeds
    if suggestion.strength is None:
        hint = "sweep other strengths, or set one by hand"
        raise UsageError(f"the sweep suggests no strength: {suggestion.reason}", hint)
    if seeds < SEEDS:
        raise UsageError(
            f"a sweep of {seeds} seed{'s' if seeds > 1 else ''} is too little to recommend a strength",
            f"sweep {SEEDS} seeds or more",
        )
    version = library.version(registry, version_id)
    values = _values(suggestion)
    own = _own(version)
    _check(version, values, own)
    facts = {name: value for name, value in values.items() if name not in own}
    library.set_facts(registry, version_id, SOURCE, facts)
    shown = library.version(registry, version_id)
    return Kept(
        version_id=version_id,
        strength=shown.strength,
        minimum=shown.strength_min,
        maximum=shown.strength_max,
        reason=suggestion.reason,
        pictures=_show(registry, version_id, sweep.plan, suggestion.strength),
        own=own,
    )


def found(registry: Registry, sweep_id: str) -> Found:
    """What a finished strength sweep says. Raises ``NotFoundError``, and ``UsageError`` for a grid that is none."""
    row = registry.db.execute("SELECT version_id, plan, curve FROM sweeps WHERE id = ?", (sweep_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"no sweep has the id {sweep_id}", "a finished hubman sweep tells its id with --json")
    try:
        plan = msgspec.json.decode(row["plan"], type=decodable(StrengthSweep))
        curve = msgspec.json.decode(row["curve"], type=decodable(Curve))
    except msgspec.ValidationError as error:
        raise UsageError(f"{sweep_id} is not a sweep of one LoRA's strength", "only such a one suggests any") from error
    except msgspec.DecodeError as error:
        raise DamagedFileError(f"what was kept of sweep {sweep_id} cannot be read ({error})", "sweep again") from error
    return Found(
        sweep_id=sweep_id,
        version_id=str(row["version_id"]),
        plan=plan,
        curve=curve,
        suggestion=suggest_strength(curve),
    )


def _values(suggestion: Suggestion) -> dict[str, float | None]:
    """A range of one point is none."""
    low, high = suggestion.minimum, suggestion.maximum
    has_range = low is not None and high is not None and low < high
    return {
        "strength_min": low if has_range else None,
        "strength": suggestion.strength,
        "strength_max": high if has_range else None,
    }


def _own(version: VersionRow) -> tuple[str, ...]:
    """What a source that counts more than a sweep has said."""
    stronger = SOURCES[: SOURCES.index(SOURCE)]
    return tuple(name for name in FIELDS if version.sources.get(name) in stronger)


def _check(version: VersionRow, values: dict[str, float | None], own: tuple[str, ...]) -> None:
    """Raise ``UsageError`` where a person's values and the found ones are no range together."""
    together = {name: getattr(version, name) if name in own else value for name, value in values.items()}
    low, best, high = (together[name] for name in FIELDS)
    outside = best is not None and ((low is not None and best < low) or (high is not None and best > high))
    if outside or (low is not None and high is not None and low >= high):
        said = ", ".join(f"{name} {getattr(version, name):g}" for name in own)
        found = ", ".join(f"{name} {value:g}" for name, value in values.items() if value is not None)
        raise UsageError(
            f"what was said by hand ({said}) and what the sweep found ({found}) exclude each other",
            "clear it with hubman edit, such as strength=, to take the sweep's",
        )


def _show(registry: Registry, version_id: str, plan: StrengthSweep, strength: float) -> tuple[str, ...]:
    """The pictures of the recommended strength as previews; those that are gone since are left out."""
    shown = []
    for seed in plan.seeds[:PICTURES]:
        request = plan.at(strength, seed)
        path = _picture(registry, request.key())
        if path is None:
            continue
        name = f"{plan.lora}-{strength:g}-{seed}{path.suffix}".replace("/", "_")
        told = as_generation(request)
        shown.append(previews.add_preview(registry, version_id, path, generation=told, source=SOURCE, name=name))
    return tuple(shown)


def _picture(registry: Registry, key: str) -> Path | None:
    rows = registry.db.execute("SELECT path FROM generations WHERE key = ? ORDER BY created_at DESC", (key,))
    return next((path for path in (Path(row["path"]) for row in rows) if path.is_file()), None)
