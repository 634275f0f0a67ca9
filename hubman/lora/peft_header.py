"""The alphas of PEFT: in the header of a file (new diffusers) or in ``adapter_config.json`` beside it (PEFT itself)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubman.lora.keys import Site
from hubman.lora.kinds import rank_of

ENTRY = "lora_adapter_metadata"
"""The header entry of diffusers: a JSON object with keys ``{component}.{field of LoraConfig}``."""
CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class PeftHeader:
    """What PEFT's settings say of alphas; ``shared`` ones go for every component."""

    settings: Mapping[str, Any]
    shared: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, str], file: Path) -> PeftHeader:
        """Read the header, else the configuration beside ``file``; anything malformed counts as absent."""
        settings = _object(metadata.get(ENTRY, ""))
        if settings:
            return cls(settings)
        config = file.with_name(CONFIG)
        if file.name.startswith("adapter_model") and config.is_file():
            return cls(_object(config.read_text(encoding="utf-8", errors="replace")), shared=True)
        return cls({})

    def alpha(self, site: Site, parts: Mapping[str, Any]) -> float | None:
        """The alpha of a place such that alpha/rank is the intended scale; None where nothing is said."""
        field = "alpha" if self.shared and "down" not in parts else "lora_alpha"
        alpha = self._pattern(site, "alpha_pattern", self._get(site, field))
        rank = rank_of(parts)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not rank or "alpha" in parts:
            return None
        return alpha * math.sqrt(rank) if self._get(site, "use_rslora") else float(alpha)

    def full_scale(self, site: Site) -> float:
        """What PEFT scales a LoKr of two full factors by, whose alpha means nothing elsewhere."""
        rank = self._pattern(site, "rank_pattern", self._get(site, "r"))
        alpha = self._pattern(site, "alpha_pattern", self._get(site, "alpha"))
        if isinstance(rank, int) and isinstance(alpha, int | float) and rank:
            return float(alpha / rank)
        return 1.0

    def _get(self, site: Site, field: str) -> Any:
        return self.settings.get(field if self.shared else f"{site.component}.{field}")

    def _pattern(self, site: Site, name: str, default: object) -> object:
        patterns = self._get(site, name)
        for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
            # PEFT matches a pattern against the end of the module path (peft.utils.other.get_pattern_key).
            if re.fullmatch(rf"(.*\.)?({re.escape(pattern.removeprefix('^'))})", site.path):
                return value
        return default


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
