"""The journal of a publication: each step is written down before it is sent and after its answer came.

One publication is one version of the library on one site, under whichever of its addresses: Civitai has several. What belongs
to the model as a whole (its own step, and its release) stands with one of its versions, the *lead*: see :func:`lead`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from hubman.civitai import auth
from registry import ids, locks, timestamps
from registry.database import Registry
from registry.errors import HubError

State = Literal["open", "draft", "published", "scheduled", "unpublished"]
PUBLIC: frozenset[str] = frozenset({"published", "scheduled"})
LONG_AGO = timestamps.of(datetime.fromtimestamp(0, UTC))
"""When a step was begun of which nobody here knows when."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was begun. ``answer`` is what is known of it: notes while ``started``, the result once ``done``."""

    state: Literal["started", "done"]
    answer: dict[str, Any]
    started_at: str
    inputs: str = ""
    """The fingerprint of what it sends; empty where an older hubman wrote it down."""

    @property
    def is_done(self) -> bool:
        return self.state == "done"

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return (now() - timestamps.parse(self.started_at)).total_seconds()


def fingerprint(inputs: object) -> str:
    """Of anything that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()[:32]


def addresses(site: str) -> str:
    """Every address under which ``site`` has the same pages, as a JSON list for a statement's ``json_each``."""
    return _text(auth.family(site))


class Journal:
    """The publication of one version on one site: the one that is open, else a new one."""

    def __init__(
        self, registry: Registry, version_id: str, site: str, plan: bytes = b"{}", *, keep_plan: bool = False
    ) -> None:
        """``keep_plan`` leaves the plan of what is there already as it is."""
        self._registry, self._site = registry, site
        with registry.transaction() as db:
            row = _last(registry, version_id, site)
            self.id = row["id"] if row else ids.new_id()
            if row is None:
                db.execute(
                    "INSERT INTO publications (id, version_id, site, plan, state, created_at) VALUES (?, ?, ?, ?, 'open', ?)",
                    (self.id, version_id, site, plan.decode(), timestamps.now()),
                )
            elif not keep_plan:
                db.execute("UPDATE publications SET plan = ? WHERE id = ?", (plan.decode(), self.id))

    def steps(self) -> dict[str, Step]:
        """Every step that was begun, by name, in the order in which they were."""
        rows = self._registry.db.execute(
            "SELECT name, state, answer, started_at, inputs FROM publication_steps WHERE publication_id = ? "
            "ORDER BY started_at",
            (self.id,),
        )
        return {row["name"]: _step(row) for row in rows}

    def step(self, name: str) -> Step | None:
        row = self._registry.db.execute(
            "SELECT state, answer, started_at, inputs FROM publication_steps WHERE publication_id = ? AND name = ?",
            (self.id, name),
        ).fetchone()
        return None if row is None else _step(row)

    def of_others(self, name: str) -> set[int]:
        """The ids that step ``name`` made in the site's other publications."""
        sql = """SELECT json_extract(s.answer, '$.id') FROM publication_steps s JOIN publications p ON p.id = s.publication_id
            WHERE s.name = ? AND s.state = 'done' AND p.id <> ? AND p.site IN (SELECT value FROM json_each(?))"""
        rows = self._registry.db.execute(sql, (name, self.id, addresses(self._site)))
        return {int(row[0]) for row in rows if row[0]}

    def begin(self, name: str, notes: dict[str, Any], *, inputs: str = "") -> None:
        """Write down that a step is about to be sent, with what helps to find its result if the answer gets lost."""
        with self._registry.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO publication_steps (publication_id, name, state, answer, started_at, inputs) "
                "VALUES (?, ?, 'started', ?, ?, ?)",
                (self.id, name, _text(notes), timestamps.now(), inputs),
            )

    def record(self, name: str, answer: dict[str, Any], *, inputs: str) -> None:
        """Write down a step that was taken elsewhere, so long ago that every replica of the site knows of it."""
        with self._registry.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO publication_steps (publication_id, name, state, answer, started_at, inputs) "
                "VALUES (?, ?, 'done', ?, ?, ?)",
                (self.id, name, _text(answer), LONG_AGO, inputs),
            )

    def note(self, name: str, notes: dict[str, Any]) -> None:
        """Keep what is known of a step that is under way."""
        self._update(name, "started", notes)

    def finish(self, name: str, answer: dict[str, Any], *, inputs: str | None = None) -> None:
        """The step is done; ``inputs`` where they are others than it was begun with."""
        self._update(name, "done", answer)
        if inputs is not None:
            with self._registry.transaction() as db:
                db.execute(
                    "UPDATE publication_steps SET inputs = ? WHERE publication_id = ? AND name = ?",
                    (inputs, self.id, name),
                )

    def forget_all(self) -> None:
        """As if nothing had ever been sent."""
        with self._registry.transaction() as db:
            db.execute("DELETE FROM publication_steps WHERE publication_id = ?", (self.id,))

    def forget_page(self, model_id: int) -> None:
        """As if nothing had ever been sent, of any version, to this page of the site: the site has it no longer."""
        with self._registry.transaction() as db:
            rows = db.execute(
                "SELECT id FROM publications WHERE civitai_model_id = ? AND site IN (SELECT value FROM json_each(?))",
                (model_id, addresses(self._site)),
            )
            gone = [(self.id,), *((row["id"],) for row in rows.fetchall())]
            db.executemany("DELETE FROM publication_steps WHERE publication_id = ?", gone)
            db.executemany(
                "UPDATE publications SET state = 'open', civitai_model_id = NULL, civitai_version_id = NULL, "
                "civitai_post_id = NULL, civitai_file_id = NULL, url = NULL WHERE id = ?",
                gone,
            )

    def forget(self, *names: str) -> None:
        """As if these steps had never been begun."""
        with self._registry.transaction() as db:
            db.executemany(
                "DELETE FROM publication_steps WHERE publication_id = ? AND name = ?",
                [(self.id, name) for name in names],
            )

    def close(self, state: State, *, model_id: int, version_id: int, post_id: int, url: str, file_id: int = 0) -> None:
        """Write down how far the publication came."""
        with self._registry.transaction() as db:
            db.execute(
                "UPDATE publications SET state = ?, civitai_model_id = ?, civitai_version_id = ?, civitai_post_id = ?, "
                "civitai_file_id = ?, url = ?, finished_at = ? WHERE id = ?",
                (state, model_id, version_id, post_id, file_id, url, timestamps.now(), self.id),
            )

    def _update(self, name: str, state: str, answer: dict[str, Any]) -> None:
        finished = timestamps.now() if state == "done" else None
        with self._registry.transaction() as db:
            db.execute(
                "UPDATE publication_steps SET state = ?, answer = ?, finished_at = ? WHERE publication_id = ? AND name = ?",
                (state, _text(answer), finished, self.id, name),
            )


class Rehearsed(Journal):
    """A copy in memory of what a journal holds: for a dry run, whose steps nobody may believe later."""

    def __init__(self, registry: Registry, version_id: str, site: str) -> None:
        row = _last(registry, version_id, site)
        self._registry, self._site, self.id = registry, site, row["id"] if row else ""
        self._steps = super().steps()

    def steps(self) -> dict[str, Step]:
        return dict(self._steps)

    def step(self, name: str) -> Step | None:
        return self._steps.get(name)

    def begin(self, name: str, notes: dict[str, Any], *, inputs: str = "") -> None:
        self._steps[name] = Step(state="started", answer=notes, started_at=timestamps.now(), inputs=inputs)

    def record(self, name: str, answer: dict[str, Any], *, inputs: str) -> None:
        self._steps[name] = Step(state="done", answer=answer, started_at=LONG_AGO, inputs=inputs)

    def finish(self, name: str, answer: dict[str, Any], *, inputs: str | None = None) -> None:
        self._update(name, "done", answer)
        if inputs is not None:
            self._steps[name] = msgspec.structs.replace(self._steps[name], inputs=inputs)

    def forget_all(self) -> None:
        self._steps.clear()

    def forget_page(self, model_id: int) -> None:
        del model_id
        self.forget_all()

    def forget(self, *names: str) -> None:
        for name in names:
            self._steps.pop(name, None)

    def close(self, state: State, *, model_id: int, version_id: int, post_id: int, url: str, file_id: int = 0) -> None:
        """Nothing came of it."""

    def _update(self, name: str, state: str, answer: dict[str, Any]) -> None:
        step = self._steps[name]
        self._steps[name] = msgspec.structs.replace(step, state="done" if state == "done" else "started", answer=answer)


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version of the library is on a site, as far as its publication came; no ``id``: not one from here."""

    id: str
    version_id: str
    state: State
    civitai_model_id: int = 0
    civitai_version_id: int = 0
    civitai_post_id: int = 0
    civitai_file_id: int = 0
    url: str = ""


def published(registry: Registry, version_id: str, site: str) -> Published | None:
    """The publication of a version on ``site``; None where nothing was ever begun."""
    row = _last(registry, version_id, site)
    if row is None:
        return None
    names = ("civitai_model_id", "civitai_version_id", "civitai_post_id", "civitai_file_id")
    numbers = {name: int(row[name] or 0) for name in names}
    return Published(id=row["id"], version_id=version_id, state=row["state"], url=row["url"] or "", **numbers)


def begun(registry: Registry, version_id: str, site: str) -> bool:
    """Whether anything of this version was sent to this site before."""
    sql = """SELECT 1 FROM publications p JOIN publication_steps s ON s.publication_id = p.id
        WHERE p.version_id = ? AND p.site IN (SELECT value FROM json_each(?)) LIMIT 1"""
    return registry.db.execute(sql, (version_id, addresses(site))).fetchone() is not None


def lead(registry: Registry, version_ids: Sequence[str], site: str) -> str:
    """The version in whose journal the model's own step stands: one of these, else another of the same model.

    Where nobody has made the model yet it is the first of these.
    """
    marks = ", ".join("?" * len(version_ids))
    sql = f"""SELECT p.version_id FROM publications p JOIN publication_steps s ON s.publication_id = p.id
        JOIN versions v ON v.id = p.version_id WHERE s.name = 'model' AND p.site IN (SELECT value FROM json_each(?))
        AND v.model_id IN (SELECT model_id FROM versions WHERE id IN ({marks}))
        ORDER BY p.version_id IN ({marks}) DESC, s.state, p.created_at LIMIT 1"""  # noqa: S608 - placeholders only
    row = registry.db.execute(sql, (addresses(site), *version_ids, *version_ids)).fetchone()
    return str(row[0]) if row else version_ids[0]


def model_on_site(registry: Registry, model_id: str, site: str) -> int:
    """The Civitai model that another version of this model was published as from here, or 0."""
    sql = """SELECT p.civitai_model_id FROM publications p JOIN versions v ON v.id = p.version_id
        WHERE v.model_id = ? AND p.site IN (SELECT value FROM json_each(?))
        AND p.state IN ('published', 'scheduled', 'unpublished')
        ORDER BY p.created_at LIMIT 1"""
    row = registry.db.execute(sql, (model_id, addresses(site))).fetchone()
    return int(row[0]) if row and row[0] else 0


def hand_over(registry: Registry, old: str, new: str, site: str) -> None:
    """What was sent as version ``old`` of the library is version ``new`` from now on."""
    with registry.transaction() as db:
        db.execute(
            "UPDATE publications SET version_id = ? WHERE version_id = ? AND site IN (SELECT value FROM json_each(?))",
            (new, old, addresses(site)),
        )


def posts_since(registry: Registry, site: str, window: timedelta) -> list[datetime]:
    """When the posts within ``window`` were made from here, the oldest first: the site limits their number."""
    sql = """SELECT s.started_at FROM publication_steps s JOIN publications p ON p.id = s.publication_id
        WHERE s.name = 'post' AND s.state = 'done' AND s.started_at > ?
        AND p.site IN (SELECT value FROM json_each(?)) ORDER BY s.started_at"""
    rows = registry.db.execute(sql, (timestamps.of(now() - window), addresses(site)))
    return [timestamps.parse(row[0]) for row in rows]


def now() -> datetime:
    return datetime.now(UTC)


def only_one(registry: Registry) -> AbstractContextManager[None]:
    """The right to publish from this registry: two at a time could make duplicates.

    Raises :class:`HubError` on entry when another process has it.
    """
    return locks.only_one(
        registry, "publish", HubError("another publication is running on this machine", "wait until it is done")
    )


def _last(registry: Registry, version_id: str, site: str) -> Any:
    sql = """SELECT * FROM publications WHERE version_id = ? AND site IN (SELECT value FROM json_each(?))
        ORDER BY created_at DESC, id DESC LIMIT 1"""
    return registry.db.execute(sql, (version_id, addresses(site))).fetchone()


def _step(row: Any) -> Step:
    return Step(
        state=row["state"],
        answer=msgspec.json.decode(row["answer"]),
        started_at=row["started_at"],
        inputs=row["inputs"],
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
