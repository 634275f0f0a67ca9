"""How many tokens a caption has for a base, by the base's own tokenizer and without loading torch.

``tokenizers`` comes with the ml extra; without it, or for a base that carries no tokenizer, tokens are estimated.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hubman import bases
from hubman.train.checks.tokens import CountTokens, estimate_tokens
from registry.errors import HubError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What CLIP takes for a word, as its authors published it."""
_END = "<|endoftext|>"
_LONG_READERS = {"T5Tokenizer": 512, "T5TokenizerFast": 512, "Qwen2Tokenizer": 512, "Qwen2TokenizerFast": 512}
"""Tokenizers of encoders that read sentences whole, and how many tokens; those of CLIP read pieces of 75."""
_WHOLE_SENTENCES = {"flux": 512, "sd35": 256, "zimage": 512}
"""What the families with such encoders read."""


class TokenRule(NamedTuple):
    """How captions are counted for a base."""

    count: CountTokens
    most: int | None
    """Tokens that are read at once, where the base itself sets that; otherwise the recipe does."""
    exact: bool
    """Whether the count is the base's own; otherwise it is an estimate."""


ESTIMATE = TokenRule(estimate_tokens, None, exact=False)


def token_rule(base: Path) -> TokenRule:
    """The rule of the encoder of ``base`` that reads most of a caption: by its own tokenizer, else by CLIP's for a base
    that reads with CLIP, else an estimate.
    """
    family = _family(base)
    found = [rule for name in ("tokenizer", "tokenizer_2", "tokenizer_3") if (rule := _rule(base / name))]
    if found:
        rule = max(found, key=lambda rule: rule.most or 0)
        return rule._replace(most=_WHOLE_SENTENCES.get(family, rule.most))
    if family in _WHOLE_SENTENCES:
        return TokenRule(estimate_tokens, _WHOLE_SENTENCES[family], exact=False)
    return _shipped() if family else ESTIMATE


def _family(base: Path) -> str:
    try:
        return bases.family(base)
    except (HubError, OSError):
        return ""


def _shipped() -> TokenRule:
    """CLIP's vocabulary, which all families with CLIP encoders share."""
    from hubman.train.architectures.clip_vocabulary import vocabulary

    try:
        return TokenRule(_counting(_clip(*vocabulary())), None, exact=True)
    except ImportError:
        return ESTIMATE


def _rule(folder: Path) -> TokenRule | None:
    try:
        tokenizer = _load(folder)
    except Exception:  # without the library ImportError, and a bare Exception of its own for a file that it can't read
        return None
    if tokenizer is None:
        return None
    return TokenRule(_counting(tokenizer), _LONG_READERS.get(_class_of(folder)), exact=True)


def _counting(tokenizer: Tokenizer) -> CountTokens:
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(caption: str) -> int:
        return len(tokenizer.encode(caption, add_special_tokens=False).ids)

    return count


def _load(folder: Path) -> Tokenizer | None:
    from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocabulary = msgspec.json.decode((folder / "vocab.json").read_bytes(), type=dict[str, int])
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
        pairs = (line.split() for line in lines if not line.startswith("#version"))
        return _clip(vocabulary, [(pair[0], pair[1]) for pair in pairs if len(pair) == 2])
    return None


def _clip(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """CLIP's tokenizer as its authors published it."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    model = models.BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token=_END)
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens(["<|startoftext|>", _END])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def _class_of(folder: Path) -> str:
    try:
        told = msgspec.json.decode((folder / "tokenizer_config.json").read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError):
        return ""
    return str(told.get("tokenizer_class", ""))
