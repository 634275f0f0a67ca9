"""The words that the interrogator tries: sentences from templates with slots, and lists of phrases to append."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from string import Formatter

import msgspec

from registry.errors import DamagedFileError, HubError

MOST_CANDIDATES = 4096
FILES = {
    "mediums": ("mediums.txt",),
    "artists": ("artists.txt",),
    "trending": ("trending.txt", "sites.txt"),
    "movements": ("movements.txt",),
    "flavours": ("flavours.txt", "flavors.txt"),
    "negatives": ("negatives.txt", "negative.txt"),
}
"""A folder of lists has one or more of these, a term a line."""


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A term list file (JSON), or a folder of lists.

    Every template is filled with every choice of its slots' words; the best one by CLIP is the sentence where no
    caption model says one.
    """

    templates: tuple[str, ...] = ()
    slots: dict[str, tuple[str, ...]] = {}
    """An empty word leaves the slot out."""
    distinct: tuple[tuple[str, str], ...] = ()
    """Pairs of slots that never hold the same word."""
    mediums: tuple[str, ...] = ()
    artists: tuple[str, ...] = ()
    """Artists and techniques: each is tried as it is and as an inspiration."""
    trending: tuple[str, ...] = ()
    """Where such pictures are shown."""
    movements: tuple[str, ...] = ()
    flavours: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    """What a negative prompt names whatever the picture."""

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

    def lists(self) -> dict[str, tuple[str, ...]]:
        """The phrases by the name of their list, as they are appended; empty lists are left out."""
        found = {
            "mediums": self.mediums,
            "artists": tuple(form for artist in self.artists for form in (artist, f"inspired by {artist}")),
            "trending": tuple(form for place in self.trending for form in (place, f"trending on {place}")),
            "movements": self.movements,
            "flavours": self.flavours,
        }
        return {name: tuple(dict.fromkeys(terms)) for name, terms in found.items() if terms}


def read_terms(path: Path) -> Terms:
    """Read and check a term list, or a folder of lists. Raises DamagedFileError naming what is wrong."""
    if path.is_dir():
        return _read_folder(path)
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
    if not terms.templates and not terms.lists():
        raise DamagedFileError(f"{path.name} has no words", "give at least one sentence with slots, or a list")
    return terms


def _read_folder(folder: Path) -> Terms:
    found: dict[str, tuple[str, ...]] = {}
    for name, files in FILES.items():
        path = next((folder / file for file in files if (folder / file).is_file()), None)
        if path is None:
            continue
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except OSError as error:
            raise HubError(f"{path} cannot be read ({error.strerror})", "check its permissions") from error
        except UnicodeDecodeError as error:
            raise DamagedFileError(f"{path} is not UTF-8 text", "save it as UTF-8") from error
        found[name] = tuple(line.strip() for line in lines if line.strip())
    terms = msgspec.convert(found, Terms)
    if not terms.lists():
        wanted = ", ".join(files[0] for files in FILES.values())
        raise DamagedFileError(f"{folder} has no list of words", f"put there one or more of {wanted}")
    return terms
