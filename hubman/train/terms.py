"""The words that the interrogator tries: templates with slots, and phrases to append."""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path
from string import Formatter

import msgspec

from registry.errors import DamagedFileError, HubError

MOST_CANDIDATES = 4096


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A term list file (JSON).

    Every template is filled with every choice of its slots' words; the best one by CLIP opens the caption. Then
    phrases of ``flavours`` are appended while they bring the text closer to the image.
    """

    templates: tuple[str, ...]
    slots: dict[str, tuple[str, ...]] = {}
    """An empty word leaves the slot out."""
    distinct: tuple[tuple[str, str], ...] = ()
    """Pairs of slots that never hold the same word."""
    flavours: dict[str, tuple[str, ...]] = {}

    def candidates(self) -> tuple[str, ...]:
        """Every filled template, without doubles; raises HubError if there are more than can be ranked."""
        texts: dict[str, None] = {}
        for template in self.templates:
            names = [name for _, name, _, _ in Formatter().parse(template) if name]
            for words in product(*(self.slots[name] for name in names)):
                filling = dict(zip(names, words, strict=True))
                if all(a not in filling or b not in filling or filling[a] != filling[b] for a, b in self.distinct):
                    texts[" ".join(template.format(**filling).split())] = None
                if len(texts) > MOST_CANDIDATES:
                    raise HubError(
                        f"the term list makes more than {MOST_CANDIDATES} sentences", "give its slots fewer words"
                    )
        return tuple(texts)

    @property
    def digest(self) -> str:
        """SHA-256 of the list: what a cache of its embeddings is valid for."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def read_terms(path: Path) -> Terms:
    """Read and check a term list. Raises DamagedFileError naming what is wrong."""
    try:
        terms = msgspec.json.decode(path.read_bytes(), type=Terms)
        for template in terms.templates:
            unknown = {name for _, name, _, _ in Formatter().parse(template) if name is not None} - terms.slots.keys()
            if unknown:
                raise DamagedFileError(f"{path.name}: no slot {sorted(unknown)[0]!r}", "list its words under slots")
    except OSError as error:
        raise HubError(f"{path} cannot be read ({error.strerror})", "give the path of a term list") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise DamagedFileError(f"{path.name} is not a term list ({error})", "see hubman/tinybase/terms.json") from error
    if not terms.templates:
        raise DamagedFileError(f"{path.name} has no templates", "give at least one sentence with slots")
    return terms
