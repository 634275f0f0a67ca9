"""Where the engine of a home is reached: a Unix socket that only its owner can open."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from registry.errors import HubError

LONGEST = 100
"""Bytes of a socket's path: systems take 104 to 108, the closing zero among them."""


@dataclass(frozen=True)
class Endpoint:
    """The files by which the processes of one home find its engine."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "engine"

    @property
    def address(self) -> Path:
        """A text file with the path of the socket, as the engine that runs chose it."""
        return self.folder / "address"

    @property
    def lock(self) -> Path:
        """Locked by the engine for as long as it lives."""
        return self.folder / "engine.lock"

    @property
    def starting(self) -> Path:
        """Locked by whoever starts an engine."""
        return self.folder / "starting.lock"

    @property
    def figures(self) -> Path:
        """What pictures took of this machine's memory."""
        return self.folder / "memory.json"

    @property
    def log(self) -> Path:
        return self.home / "logs" / "engine.log"

    def prepare(self) -> None:
        """Make the folders, for the owner alone."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def hold(self) -> int:
        """Become the engine of this home: wait for one that ends, and lock it out from now on. Returns the lock's handle."""
        handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        return handle

    def holder(self) -> int | None:
        """The process id of the engine that lives, whether or not it answers."""
        with contextlib.suppress(OSError, ValueError), self.lock.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
        return None

    def connect(self) -> socket.socket | None:
        """A connection to the engine that runs; None where none does."""
        try:
            path = self.address.read_text()
        except FileNotFoundError:
            return None
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.connect(path)
        except OSError:
            opened.close()
            return None
        return opened

    def listen(self) -> socket.socket:
        """The engine's end; whoever calls it holds :attr:`lock`, so a socket that lies there is of a dead one."""
        path = self._place()
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        written = self.address.with_suffix(".part")
        written.write_text(str(path))
        written.replace(self.address)
        return listener

    def _place(self) -> Path:
        """In the home, or where its path is too long in a folder of the owner's for what runs at present."""
        path = self.folder / "socket"
        if len(os.fsencode(path)) <= LONGEST:
            return path
        folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"hubman-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077 or not stat.S_ISDIR(found.st_mode):
            raise HubError(f"{folder} can be used by others", "remove it, or set HUBMAN_HOME to a shorter path")
        return folder / hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
