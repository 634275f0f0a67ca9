"""Remotes with a key, for tests of machines: ``with sealed("age"):`` makes every :class:`Machine` in it share one.

The state machine runs over an encrypted remote by entering it in the machine's ``__init__`` and leaving in
``teardown``, or as a fixture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keyring
from keyring.backends import fail

from hubman.sync.records import layout
from hubman.sync.secrecy.joining import Secrecy
from hubman.sync.secrecy.repo_key import RepoKey
from tests.support.machines import Machine


class KeyRing(list[RepoKey]):
    """What the person who owns the machines wrote down."""

    def secrecy(self, enc: str = "") -> Secrecy:
        """Of a machine that joins, or makes, a remote of the kind ``enc`` (``age`` or ``hmac``)."""
        return Secrecy(enc, self._of, self.append)

    def _of(self, hub: layout.Hub) -> RepoKey:
        return next(key for key in self if key.check(hub.repo) == hub.check)


@contextlib.contextmanager
def no_keyring() -> Iterator[None]:
    """As on a server: keys go into files of the registry's folder, and never into the keyring of who runs the tests."""
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        keyring.set_keyring(before)


@contextlib.contextmanager
def sealed(enc: str = "age") -> Iterator[KeyRing]:
    """Every machine made inside keeps its remote so and knows the key that the first one made."""
    ring = KeyRing()
    before = Machine.secrecy
    Machine.secrecy = ring.secrecy(enc)
    try:
        with no_keyring():
            yield ring
    finally:
        Machine.secrecy = before


def everything_in(remote: Path) -> bytes:
    """Every name and every byte of a remote in a folder."""
    found = [path for path in sorted(remote.rglob("*")) if path.is_file()]
    return b"\n".join(str(path.relative_to(remote)).encode() + b"\n" + path.read_bytes() for path in found)
