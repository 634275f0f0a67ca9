"""Which of many files of a site the library knows, and whether they lie on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from registry.database import Registry

_HEX = re.compile(r"[0-9a-f]{8,64}", re.ASCII)

_HERE = "EXISTS (SELECT 1 FROM places p WHERE p.sha256 = f.sha256 AND p.state <> 'missing')"
# A letter after f ends what begins so. The wanted ones go first: each is then one look into an index.
_QUERY = f"""
SELECT w.value, {_HERE} FROM json_each(:sha256) w
    CROSS JOIN files f ON f.sha256 >= w.value AND f.sha256 < w.value || 'g'
UNION ALL
SELECT w.value, {_HERE} FROM json_each(:autov3) w
    CROSS JOIN files f ON f.autov3 >= w.value AND f.autov3 < w.value || 'g'
UNION ALL
SELECT 'version ' || w.value, {_HERE} FROM json_each(:versions) w
    CROSS JOIN versions v ON v.civitai_id = w.value LEFT JOIN files f ON f.version_id = v.id
"""  # noqa: S608 - fixed texts


@dataclass(frozen=True)
class Holdings:
    """What was found: True for what lies here, False for what is known but lies on no drive of this machine."""

    by_hash: dict[str, bool]
    by_version: dict[int, bool]


def holdings(
    registry: Registry, *, sha256: Iterable[str] = (), autov3: Iterable[str] = (), versions: Iterable[int] = ()
) -> Holdings:
    """Look up files and versions at once, in one statement.

    ``sha256`` may be whole hashes or beginnings of them, such as AutoV2; ``autov3`` too. Their case does not matter, and
    what is no hash of at least 8 digits finds nothing. ``versions`` are numbers of the site.
    """
    asked = {
        "sha256": json.dumps(_digits(sha256)),
        "autov3": json.dumps(_digits(autov3)),
        "versions": json.dumps(sorted(set(versions))),
    }
    by_hash: dict[str, bool] = {}
    by_version: dict[int, bool] = {}
    for key, is_here in registry.db.execute(_QUERY, asked):
        if key.startswith("version "):
            number = int(key.removeprefix("version "))
            by_version[number] = by_version.get(number, False) or bool(is_here)
        else:
            by_hash[key] = by_hash.get(key, False) or bool(is_here)
    return Holdings(by_hash, by_version)


def _digits(hashes: Iterable[str]) -> list[str]:
    return sorted({text for text in (hash_.lower() for hash_ in hashes) if _HEX.fullmatch(text)})
