"""The journal of a publication: each step is written down before it is sent and after its answer came."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from registry import ids, locks, timestamps
from registry.database import Registry
from registry.errors import HubError

State = Literal["open", "draft", "published", "scheduled"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was begun. ``answer`` is what is known of it: notes while ``started``, the result once ``done``."""

    state: Literal["started", "done"]
    answer: dict[str, Any]
    started_at: str

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return (datetime.now(UTC) - timestamps.parse(self.started_at)).total_seconds()


class Journal:
    """The publication of one version on one site: the one that is open, else a new one."""

    def __init__(self, registry: Registry, version_id: str, site: str, plan: bytes) -> None:
        self._registry = registry
        with registry.transaction() as db:
            row = db.execute(
                "SELECT id FROM publications WHERE version_id = ? AND site = ? ORDER BY created_at DESC, id DESC",
                (version_id, site),
            ).fetchone()
            self.id = row["id"] if row else ids.new_id()
            if row is None:
                db.execute(
                    "INSERT INTO publications (id, version_id, site, plan, state, created_at) VALUES (?, ?, ?, ?, 'open', ?)",
                    (self.id, version_id, site, plan.decode(), timestamps.now()),
                )
            else:
                # What is not sent yet follows the choices of now; what was sent stays as it was.
                db.execute("UPDATE publications SET plan = ? WHERE id = ?", (plan.decode(), self.id))

    def step(self, name: str) -> Step | None:
        row = self._registry.db.execute(
            "SELECT state, answer, started_at FROM publication_steps WHERE publication_id = ? AND name = ?",
            (self.id, name),
        ).fetchone()
        if row is None:
            return None
        return Step(state=row["state"], answer=msgspec.json.decode(row["answer"]), started_at=row["started_at"])

    def begin(self, name: str, notes: dict[str, Any]) -> None:
        """Write down that a step is about to be sent, with what helps to find its result if the answer gets lost."""
        with self._registry.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO publication_steps VALUES (?, ?, 'started', ?, ?, NULL)",
                (self.id, name, msgspec.json.encode(notes).decode(), timestamps.now()),
            )

    def note(self, name: str, notes: dict[str, Any]) -> None:
        """Keep what is known of a step that is under way."""
        self._update(name, "started", notes)

    def finish(self, name: str, answer: dict[str, Any]) -> None:
        self._update(name, "done", answer)

    def forget_all(self) -> None:
        """As if nothing had ever been sent."""
        with self._registry.transaction() as db:
            db.execute("DELETE FROM publication_steps WHERE publication_id = ?", (self.id,))

    def forget(self, name: str) -> None:
        """As if the step had never been begun."""
        with self._registry.transaction() as db:
            db.execute("DELETE FROM publication_steps WHERE publication_id = ? AND name = ?", (self.id, name))

    def close(self, state: State, *, model_id: int, version_id: int, post_id: int, url: str) -> None:
        """Write down how far the publication came."""
        with self._registry.transaction() as db:
            db.execute(
                "UPDATE publications SET state = ?, civitai_model_id = ?, civitai_version_id = ?, civitai_post_id = ?, "
                "url = ?, finished_at = ? WHERE id = ?",
                (state, model_id, version_id, post_id, url, timestamps.now(), self.id),
            )

    def _update(self, name: str, state: str, answer: dict[str, Any]) -> None:
        finished = timestamps.now() if state == "done" else None
        with self._registry.transaction() as db:
            db.execute(
                "UPDATE publication_steps SET state = ?, answer = ?, finished_at = ? WHERE publication_id = ? AND name = ?",
                (state, msgspec.json.encode(answer).decode(), finished, self.id, name),
            )


def begun(registry: Registry, version_id: str, site: str) -> bool:
    """Whether anything of this version was sent to this site before."""
    sql = """SELECT 1 FROM publications p JOIN publication_steps s ON s.publication_id = p.id
        WHERE p.version_id = ? AND p.site = ? LIMIT 1"""
    return registry.db.execute(sql, (version_id, site)).fetchone() is not None


def model_on_site(registry: Registry, model_id: str, site: str) -> int:
    """The Civitai model that another version of this model was published as from here, or 0."""
    sql = """SELECT p.civitai_model_id FROM publications p JOIN versions v ON v.id = p.version_id
        WHERE v.model_id = ? AND p.site = ? AND p.state = 'published' ORDER BY p.created_at LIMIT 1"""
    row = registry.db.execute(sql, (model_id, site)).fetchone()
    return int(row[0]) if row and row[0] else 0


def only_one(registry: Registry) -> AbstractContextManager[None]:
    """The right to publish from this registry: two at a time could make duplicates.

    Raises :class:`HubError` on entry when another process has it.
    """
    return locks.only_one(
        registry, "publish", HubError("another publication is running on this machine", "wait until it is done")
    )
