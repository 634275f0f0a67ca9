"""A registry is not made on a share or where another program copies files about, unless a person insists."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import placement
from registry.database import Registry
from registry.errors import HubError


@pytest.mark.parametrize(
    ("mark", "program"), [(".stfolder", "Syncthing"), (".dropbox", "Dropbox"), (".nextcloudsync.log", "Nextcloud")]
)
def test_a_marked_folder_above_is_named(tmp_path: Path, mark: str, program: str) -> None:
    (tmp_path / mark).touch()
    assert placement.problem(tmp_path / "deep" / "home") == f"{tmp_path.resolve()}, which {program} syncs"


@pytest.mark.parametrize("name", ["OneDrive", "OneDrive - Studio", "Dropbox", "My Drive"])
def test_a_folder_is_known_by_the_name_that_its_program_gives_it(tmp_path: Path, name: str) -> None:
    assert placement.problem(tmp_path / name / "home") is not None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("//nas/x {}/my\\040share cifs rw 0 0", "cifs"), ("nas:/x {}/my\\040share nfs4 rw 0 0", "nfs4"),
        ("x {}/my\\040share fuse.sshfs rw 0 0", "fuse.sshfs"), ("/dev/sda1 {}/my\\040share ext4 rw 0 0", None),
        ("broken", None),
    ],
)  # fmt: skip
def test_a_network_mount_is_known_by_the_kind_of_its_file_system(tmp_path: Path, line: str, kind: str | None) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/root / ext4 rw 0 0\n{line.format(tmp_path.resolve())}\nnas:/y /elsewhere nfs4 rw 0 0\n")
    found = placement.problem(tmp_path / "my share" / "home", mounts)
    assert found == (f"a network mount ({kind})" if kind else None)


def test_no_registry_is_made_there_without_a_flag_and_one_that_is_there_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (tmp_path / ".stfolder").mkdir()
    with pytest.raises(HubError, match="which Syncthing syncs"):
        Registry(home)
    assert not home.exists()
    monkeypatch.setenv(placement.ANYWHERE, "1")
    Registry(home).close()
    monkeypatch.delenv(placement.ANYWHERE)
    Registry(home).close()
