"""What it learns from: images and captions."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from hubman.train.settings.section import Section

Masks = Literal["none", "alpha", "folder"]
Side = Annotated[int, Meta(ge=64, le=4096)]


class ImageSettings(Section, frozen=True, kw_only=True):
    """How images are cut and shown; lengths in pixels."""

    resolutions: Annotated[
        tuple[Side, ...],
        Meta(min_length=1, max_length=8, description="sides of the squares of the trained areas: the base's own"),
    ] = (512,)
    bucket_low: Annotated[int, Meta(ge=8, le=8192, multiple_of=8, description="shortest side of a bucket")] = 256
    bucket_high: Annotated[int, Meta(ge=8, le=8192, multiple_of=8, description="longest side of a bucket")] = 1024
    bucket_step: Annotated[
        int, Meta(ge=8, le=1024, multiple_of=8, description="buckets apart: smaller crops less, larger is faster")
    ] = 64
    no_upscale: Annotated[bool, Meta(description="keeps images small that are smaller than the area")] = False
    repeats: Annotated[
        int, Meta(ge=1, le=10_000, description="showings of each image in a pass; folders named 5_name count as well")
    ] = 1
    flip: Annotated[
        bool, Meta(description="also mirrored: off, as faces, text and asymmetric subjects suffer; helps small sets")
    ] = False
    random_crop: Annotated[
        bool, Meta(description="cuts elsewhere in each pass instead of at the centre; four cuts of each image")
    ] = False
    masks: Annotated[
        Masks, Meta(description="where a mask says what counts: the alpha channel, or a folder of pictures")
    ] = "none"
    mask_folder: Annotated[str, Meta(description="grey pictures of the images' names; white counts")] = ""


class CaptionSettings(Section, frozen=True, kw_only=True):
    """How captions are varied and read."""

    prefix: Annotated[str, Meta(description="put before every caption")] = ""
    suffix: Annotated[str, Meta(description="put behind every caption")] = ""
    dropout: Annotated[
        float, Meta(ge=0, le=1, description="some steps without caption keep guidance working; more for small sets")
    ] = 0.05
    dropout_every_epochs: Annotated[
        int, Meta(ge=0, le=1000, description="each so many passes over the images, one without captions; 0 is never")
    ] = 0
    tag_dropout: Annotated[float, Meta(ge=0, le=1, description="leaves tags out at random, so that none is needed")] = (
        0.0
    )
    shuffle: Annotated[bool, Meta(description="tags in any order; sentences lose their sense")] = False
    keep_tokens: Annotated[
        int, Meta(ge=0, le=1000, description="tags at the start that stay: the trigger is first when others move")
    ] = 1
    separator: Annotated[str, Meta(description="what stands before it stays in place, instead of keep_tokens")] = "|||"
    wildcards: Annotated[bool, Meta(description="{red|blue} takes one of them, several lines one line")] = True
    max_tokens: Annotated[
        Literal[75, 150, 225], Meta(description="longer captions are cut; more than 75 are read in pieces of 75")
    ] = 75
    clip_skip: Annotated[
        int, Meta(ge=1, le=12, description="the text encoder's layer that the base itself was trained with, 1 the last")
    ] = 1
