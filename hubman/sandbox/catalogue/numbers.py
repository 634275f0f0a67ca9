"""The ids of the catalogue's things: each follows from the model's place, whatever the catalogue's size."""

from __future__ import annotations

VERSIONS, FILES, POSTS, IMAGES = 4, 8, 2, 8
"""The most that a model has of versions, a version of files and posts, a post of images."""
_MODEL, _VERSION, _FILE, _POST, _IMAGE, _USER = 100_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 60_000
LARGEST = 25_000
"""Models at most: beyond, ids of versions and files would meet."""
RANGES = {
    "model": (_MODEL, _MODEL + LARGEST), "version": (_VERSION, _VERSION + LARGEST * VERSIONS),
    "file": (_FILE, _FILE + LARGEST * VERSIONS * FILES), "post": (_POST, _POST + LARGEST * VERSIONS * POSTS),
    "image": (_IMAGE, _IMAGE + LARGEST * VERSIONS * POSTS * IMAGES), "user": (_USER, _USER + 1000),
    "collection": (_USER, _USER + 1000),
}  # fmt: skip
"""Of each kind, the first id and one after the last."""


def model(place: int) -> int:
    return _MODEL + place


def version(place: int, which: int) -> int:
    return _VERSION + place * VERSIONS + which


def file(version_id: int, which: int) -> int:
    return _FILE + (version_id - _VERSION) * FILES + which


def post(version_id: int, which: int) -> int:
    return _POST + (version_id - _VERSION) * POSTS + which


def image(post_id: int, which: int) -> int:
    return _IMAGE + (post_id - _POST) * IMAGES + which


def user(which: int) -> int:
    return _USER + which
