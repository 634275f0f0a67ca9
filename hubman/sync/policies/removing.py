"""``hubman drop``: free this machine's disk of models that a remote has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hubman.progress import Report, never, silent
from hubman.sync.opening import opened
from hubman.sync.policies.letting_go import Agree, LetGo, let_go
from hubman.sync.remote import all_remotes, find
from hubman.sync.remotes import check_is_same
from registry import library
from registry.database import Registry
from registry.errors import NotFoundError
from registry.ids import HASHED


def drop(
    registry: Registry,
    versions: Sequence[str],
    *,
    agree: Agree = lambda _question: False,
    remote: str = "",
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
) -> LetGo:
    """Delete the local files of these versions, as far as ``remote``, or any, has them now; what is known of them stays.

    ``agree`` is asked of large files that nobody has read whole there for long (:mod:`hubman.sync.policies.letting_go`). Raises
    :class:`registry.errors.NotFoundError` for no such version or no remote, :class:`HubError` when none can be asked.
    """
    left = [sha256 for version in versions for sha256 in _here(registry, version)]
    names = [find(registry, remote).name] if remote else [one.name for one in all_remotes(registry)]
    if not names:
        raise NotFoundError("there is no remote that could have a copy", "hubman remote add NAME FOLDER")
    files = size = 0
    problems: tuple[str, ...] = ()
    for name in names:
        if not left:
            break
        with opened(registry, name, report=report, should_stop=should_stop) as session:
            check_is_same(session.storage, session.remote)
            gone = let_go(session, left, by_hand=True, agree=agree)
        files, size, problems = files + gone.files, size + gone.bytes, gone.problems
        left = [sha256 for version in versions for sha256 in _here(registry, version)]
    return LetGo(files, size, problems if left else ())


def _here(registry: Registry, version: str) -> list[str]:
    sql = (
        f"SELECT sha256 FROM files f WHERE version_id = ? AND {HASHED} AND EXISTS "  # noqa: S608 - names of ours
        "(SELECT 1 FROM places p WHERE p.sha256 = f.sha256 AND p.state <> 'missing')"
    )
    return [row[0] for row in registry.db.execute(sql, (library.version(registry, version).id,))]
