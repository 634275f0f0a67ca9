"""First drafts of captions by CLIP, after the method of CLIP Interrogator.

A sentence says what a picture shows: of a caption model, or the best of a list's templates. CLIP then finds the
phrases of lists of mediums, artists, movements and so on that bring it closest to the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hubman.train.captioning.chain import chain
from hubman.train.captioning.clip_model import ClipModel
from hubman.train.captioning.term_ranking import TermRanking, rank_terms
from hubman.train.captioning.terms import Terms
from hubman.train.data.pictures import load_rgb

if TYPE_CHECKING:
    from torch import Tensor

Mode = Literal["best", "fast", "classic", "negative"]
Describe = Callable[[Path], str]

TOP_TERMS = 32
"""Terms that the fast mode appends."""
CANDIDATES = 2048
"""Terms of all lists, by their own likeness to the picture, that the best mode looks at..."""
SCORED = 320
"""...and how many of them are tried as a continuation: each costs a pass through the text tower a round."""
CLASSIC = (("mediums", 1), ("artists", 1), ("trending", 1), ("movements", 1), ("flavours", 3))


class Interrogator:
    """A CLIP model, lists of terms, and what says the first sentence."""

    def __init__(
        self, clip: ClipModel, terms: Terms, sentence: Describe | None = None, cache: Path | None = None
    ) -> None:
        """``sentence`` captions a picture; without it the templates of ``terms`` do. ``cache`` keeps the lists' vectors."""
        self._clip = clip
        self._sentence = sentence
        self._lists = {name: rank_terms(clip, name, words, cache) for name, words in terms.lists().items()}
        self._templates = None if sentence else rank_terms(clip, "sentences", terms.candidates(), cache)
        self._negatives = terms.negatives

    def caption(self, path: Path, mode: Mode = "best") -> str:
        """A caption of the picture at ``path``; ``negative`` gives what it is least like, for a negative prompt."""
        view = _View(self._clip, self._clip.embed_image(load_rgb(path)), self._lists)
        if mode == "negative":
            return view.negative(self._negatives)
        sentence = self._begin(path, view)
        if mode == "fast":
            return view.fast(sentence)
        if mode == "classic":
            return view.classic(sentence)
        return view.best(sentence)

    def _begin(self, path: Path, view: _View) -> str:
        if self._templates is not None:
            return self._templates.top(view.image, 1)[0][0]
        return self._sentence(path) if self._sentence else ""


@dataclass(frozen=True)
class _View:
    """One picture, and what the lists have for it."""

    clip: ClipModel
    image: Tensor
    lists: dict[str, TermRanking]

    def score(self, texts: Sequence[str]) -> list[float]:
        scores: list[float] = (self.clip.embed_texts(list(texts)) @ self.image).tolist()
        return scores

    def fast(self, sentence: str) -> str:
        return self._cut(sentence, self._nearest[:TOP_TERMS])

    def classic(self, sentence: str) -> str:
        found = [
            term for name, count in CLASSIC if name in self.lists for term, _ in self.lists[name].top(self.image, count)
        ]
        return self._cut(sentence, found)

    def best(self, sentence: str) -> str:
        """The chain, or what is even closer of the sentence alone and the other modes."""
        chained, _ = chain(self.score, self._nearest[:SCORED], sentence, fits=self.clip.fits)
        texts = list(dict.fromkeys((sentence, self.classic(sentence), self.fast(sentence), chained)))
        scores = self.score(texts)
        return texts[scores.index(max(scores))]

    def negative(self, negatives: tuple[str, ...]) -> str:
        """A chain of the terms that are least like the picture, and of ``negatives``."""
        lowest = [pair for terms in self.lists.values() for pair in terms.top(self.image, SCORED, lowest=True)]
        lowest.sort(key=lambda pair: pair[1])
        words = [term for term, _ in lowest[:SCORED]]
        text, _ = chain(
            lambda texts: [-score for score in self.score(texts)], [*words, *negatives], fits=self.clip.fits
        )
        return text

    @cached_property
    def _nearest(self) -> list[str]:
        found = [pair for terms in self.lists.values() for pair in terms.top(self.image, CANDIDATES)]
        found.sort(key=lambda pair: -pair[1])
        return list(dict.fromkeys(term for term, _ in found))[:CANDIDATES]

    def _cut(self, sentence: str, phrases: list[str]) -> str:
        """As many of ``phrases`` after the sentence as CLIP reads."""
        text = sentence
        for phrase in phrases:
            longer = f"{text}, {phrase}" if text else phrase
            if not self.clip.fits(longer):
                break
            text = longer
        return text
