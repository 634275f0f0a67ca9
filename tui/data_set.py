"""A set of training images as it is shown: what the checks say of each, which are left out, which are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec

from tui import formats

if TYPE_CHECKING:
    from pathlib import Path

    from hubman.train.checks.findings import Finding
    from hubman.train.checks.rules import Rules
    from hubman.train.data.dataset import Dataset, DatasetImage

Shown = Literal["all", "findings", "duplicates"]
TWINS = frozenset(("duplicate", "near-duplicate"))
_NO_PROBLEM = frozenset(("left-out", "count-ideal", "repeats"))

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture's sides."""


@dataclass(frozen=True)
class ImageLine:
    """An image with what the checks say of it; the whole set has no ``image``."""

    image: DatasetImage | None
    findings: tuple[Finding, ...] = ()
    twin: str = ""
    """``┌``, ``│`` or ``└`` in its group of duplicates."""
    box: Box | None = None
    """What its bucket keeps, where that is not all."""
    bucket: tuple[int, int] = (0, 0)

    @property
    def path(self) -> Path | None:
        return self.image.path if self.image else None

    @property
    def is_out(self) -> bool:
        return self.image is not None and self.image.left_out

    @property
    def worst(self) -> Finding | None:
        return next((each for each in self.findings if each.code not in _NO_PROBLEM), None)

    @property
    def problem(self) -> str:
        """The worst finding in two words."""
        return self.worst.code.replace("-", " ") if self.worst else ""

    @property
    def lacks_caption(self) -> str:
        """Why there is no caption to show."""
        if self.image is None or self.image.caption:
            return ""
        return "caption can't be read" if self.image.caption_error else "no caption"


@dataclass(frozen=True)
class Sheet:
    """A data set with its findings. Made by :func:`measured`, in a thread: buckets and twins of a thousand images take time."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    images: tuple[ImageLine, ...]
    whole: tuple[Finding, ...] = ()
    """What concerns no single image."""
    twins: tuple[tuple[str, ...], ...] = ()
    """Groups of duplicates, by name."""

    def lines(self, shown: Shown = "all") -> list[ImageLine]:
        """The set as a whole, if there is something to say of it, then its images."""
        if shown == "duplicates":
            return self._twin_lines()
        lines = [line for line in self.images if line.worst is not None] if shown == "findings" else list(self.images)
        return ([ImageLine(None, self.whole)] if self.whole else []) + lines

    def _twin_lines(self) -> list[ImageLine]:
        by_name = {line.image.name: line for line in self.images if line.image is not None}
        lines = []
        for group in self.twins:
            signs = ["┌", *"│" * (len(group) - 2), "└"]
            lines += [replace(by_name[name], twin=sign) for name, sign in zip(group, signs, strict=True)]
        return lines

    def twins_of(self, name: str) -> tuple[str, ...]:
        """The other images of the group of duplicates that ``name`` belongs to."""
        group = next((group for group in self.twins if name in group), ())
        return tuple(other for other in group if other != name)

    def marked(self, names: Iterable[str], *, left: bool) -> Sheet:
        """The sheet as it is once these images are left out, or taken back; its findings are still those from before."""
        wanted = frozenset(names)
        lines = tuple(_marked(line, wanted, left=left) for line in self.images)
        dataset = msgspec.structs.replace(
            self.dataset, images=tuple(line.image for line in lines if line.image is not None)
        )
        return replace(self, dataset=dataset, images=lines)

    @property
    def headline(self) -> str:
        """How many images are trained, what that number means, and how much there is to look at."""
        images, used = len(self.dataset.images), len(self.dataset.usable)
        out = sum(image.left_out for image in self.dataset.images)
        errors = sum(each.severity == "error" for each in self.findings)
        warnings = sum(each.severity == "warn" for each in self.findings)
        parts = [formats.count(images, "image"), meaning(used)]
        parts += [formats.count(errors, "error")] if errors else []
        parts += [formats.count(warnings, "warning")] if warnings else []
        parts += [f"{out} left out"] if out else []
        return " · ".join(parts)


def meaning(used: int) -> str:
    """What so many images are good for."""
    from hubman.train.checks import counts

    if used < counts.FEWEST:
        return f"only {used} to train: too few"
    if used < counts.COMFORTABLE:
        return f"{used} to train: few, {counts.IDEAL[0]} are better"
    if used < counts.IDEAL[0]:
        return f"{used} to train: enough"
    return f"{used} to train: " + ("ideal" if used <= counts.IDEAL[1] else "plenty")


def measured(dataset: Dataset, findings: tuple[Finding, ...], rules: Rules) -> Sheet:
    """``dataset`` with what was found when it was measured against ``rules``."""
    from hubman.train.checks import by_image

    found = by_image(findings)
    lines = tuple(_line(image, found.get(image.name, ()), rules) for image in dataset.images)
    return Sheet(dataset, findings, lines, found.get(None, ()), tuple(groups(findings)))


def _line(image: DatasetImage, found: tuple[Finding, ...], rules: Rules) -> ImageLine:
    wide, high = image.picture.width, image.picture.height
    if image.picture.error:
        return ImageLine(image, found)
    cut = rules.cut((wide, high))
    left, top, right, bottom = cut.box
    box = (left / wide, top / high, right / wide, bottom / high) if cut.kept < 1 else None
    return ImageLine(image, found, "", box, cut.bucket)


def _marked(line: ImageLine, names: frozenset[str], *, left: bool) -> ImageLine:
    if line.image is None or line.image.name not in names:
        return line
    return replace(line, image=msgspec.structs.replace(line.image, left_out=left))


def groups(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """The groups of duplicates, each in the order in which its images were found."""
    found: list[dict[str, None]] = []
    for finding in findings:
        if finding.code not in TWINS or finding.image is None:
            continue
        names = dict.fromkeys((*finding.others, finding.image))
        joined = [group for group in found if not names.keys().isdisjoint(group)]
        found = [group for group in found if group not in joined]
        found.append({name: None for group in (*joined, names) for name in group})
    return [tuple(sorted(group)) for group in found]


def words(line: ImageLine) -> str:
    """Everything that is known of a line, as paragraphs."""
    parts = []
    if line.is_out:
        parts.append("left out: space takes it back")
    if line.image is not None:
        parts.append(line.image.caption or line.lacks_caption)
    parts.append("\n".join(_told(line.findings)))
    if line.image is not None and line.bucket[0]:
        picture = line.image.picture
        how = f"{picture.width}x{picture.height} is trained at {line.bucket[0]}x{line.bucket[1]}"
        if line.box:
            left, top, right, bottom = line.box
            how += f", {(right - left) * (bottom - top):.0%} of it"
        if line.image.repeats > 1:
            how += f", {line.image.repeats} times a pass"
        parts.append(how + (", with its mask" if line.image.mask is not None else ""))
    return "\n\n".join(part for part in parts if part)


def _told(findings: Sequence[Finding]) -> list[str]:
    """A line a finding; of many of one kind the first, and how many more there are: a set may have hundreds."""
    alike: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.code != "left-out":
            alike.setdefault(finding.code, []).append(finding)
    told = []
    for first, *others in alike.values():
        more = f" (and {len(others)} more like this)" if others else ""
        told.append(f"{first.sentence}: {first.remedy}{more}")
    return told
