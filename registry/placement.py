"""Is a folder one where a database is safe? A share may lose its locks, and a program that copies files tears it apart."""

from __future__ import annotations

import os
from pathlib import Path

ANYWHERE = "HUBMAN_HOME_ANYWHERE"
"""The variable by which a person takes such a folder all the same."""

_MOUNTS = Path("/proc/self/mounts")
_NETWORK = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "davfs", "fuse.sshfs",
        "fuse.rclone", "fuse.s3fs", "fuse.davfs2", "fuse.glusterfs", "fuse.gvfsd-fuse", "fuse.google-drive-ocamlfuse",
    }
)  # fmt: skip
_MARKS = {
    ".stfolder": "Syncthing", ".dropbox": "Dropbox", ".dropbox.cache": "Dropbox", ".owncloudsync.log": "ownCloud",
    ".nextcloudsync.log": "Nextcloud", ".SyncID": "Resilio Sync", ".tmp.drivedownload": "Google Drive",
}  # fmt: skip
_NAMES = {
    "dropbox": "Dropbox", "onedrive": "OneDrive", "nextcloud": "Nextcloud", "owncloud": "ownCloud",
    "google drive": "Google Drive", "googledrive": "Google Drive", "my drive": "Google Drive",
    "mobile documents": "iCloud", "icloud drive": "iCloud", "pclouddrive": "pCloud",
}  # fmt: skip


def problem(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """Why a database is not safe in ``folder``, which need not exist; None where nothing speaks against it."""
    path = Path(os.path.realpath(folder))
    if kind := _network(path, mounts):
        return f"a network mount ({kind})"
    for above in (path, *path.parents):
        name = above.name.lower()
        program = _NAMES.get(name) or ("OneDrive" if name.startswith("onedrive - ") else None)
        program = program or next((of for mark, of in _MARKS.items() if (above / mark).exists()), None)
        if program:
            return f"{above}, which {program} syncs"
    return None


def _network(path: Path, mounts: Path) -> str | None:
    """The kind of the file system that ``path`` lies on, if it is one of the network; no system but Linux tells."""
    best, kind = "", ""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        point, of = [*line.split(), "", "", ""][1:3]
        point = point.replace("\\040", " ")
        if path.is_relative_to(point or "/nowhere") and len(point) >= len(best):
            best, kind = point, of
    return kind if kind in _NETWORK else None
