"""How one step of a publication is taken: written down, sent once, looked up where its answer got lost, told of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubman.civitai.client import Civitai
from hubman.civitai.errors import AnswerLostError, CivitaiError, MissingError, UnavailableError
from hubman.civitai.journal import Journal, fingerprint
from hubman.progress import Progress, Report

Answer = dict[str, Any]
LOOKS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between looks for a thing that may have been made just now: what lists read may lag behind."""
FRESH = 60.0
"""A step begun so many seconds ago is looked for once only: by then every replica shows it."""


class Steps:
    """The steps of one version, as far as its journal says that they have not been taken."""

    def __init__(self, client: Civitai, log: Journal, report: Report) -> None:
        self.client, self.log, self.report = client, log, report

    def made(self, name: str) -> int:
        """The id that step ``name`` made, or 0."""
        step = self.log.step(name)
        return int(step.answer["id"]) if step is not None and step.is_done else 0

    def is_fresh(self, name: str) -> bool:
        """Whether what the step made is so new that the site's replicas may not know it yet."""
        step = self.log.step(name)
        return step is not None and step.age < FRESH

    def make(
        self,
        name: str,
        *,
        inputs: object,
        call: Callable[[], int],
        listed: Callable[[str], list[int]],
        named: str = "",
        among_others: bool = False,
        fresh: bool = False,
    ) -> int:
        """The id of the one thing that step ``name`` makes out of ``inputs``.

        Before each try, the name that will be sent is written down and what ``listed`` shows under it already (if
        there can be ``among_others``); whatever is there beyond that after a lost answer, and is not another
        publication's, is the thing. Only when it is not, the call is made again, perhaps under another name than the
        first time. ``fresh`` gives a replica time to know what is listed from. Once it is done, other ``inputs`` change
        nothing here: see :meth:`update`. Raises :class:`UnavailableError` where nobody can tell whether it was made.
        """
        step = self.log.step(name)
        if step is not None and step.is_done:
            return int(step.answer["id"])
        sent, before = named, None
        if step is not None:
            sent, known = str(step.answer.get("named", named)), list(step.answer.get("before", []))
            if found := self._look(name, lambda: listed(sent), known, patient=step.age < FRESH):
                # What it was made from stands in the journal: the call before this one may have had other inputs.
                return self._done(name, found, step.answer.get("sent"), step.inputs)
            # Under the same name what shows up late must not count as having been there before.
            before = known if sent == named else None
        if before is None:
            before = self._listed(lambda: listed(named), fresh=fresh) if among_others else []
        self.log.begin(name, {"before": before, "named": named, "sent": inputs}, inputs=fingerprint(inputs))
        self.tell(name, "started")
        made = self._call(name, call, lambda: self._look(name, lambda: listed(named), before, patient=True))
        return self._done(name, made, inputs, fingerprint(inputs))

    def once(self, name: str, inputs: object, send: Callable[[], Answer]) -> Answer:
        """Run a step that does no harm when repeated, unless it is done with these ``inputs`` already."""
        mark, step = fingerprint(inputs), self.log.step(name)
        if step is not None and step.is_done and step.inputs in {mark, ""}:
            return step.answer
        if step is None or step.inputs != mark:
            self.log.begin(name, {}, inputs=mark)
        self.tell(name, "started")
        answer = send()
        self.tell(name, "sent")
        self.log.finish(name, answer)
        self.tell(name, "done")
        return answer

    def update(
        self,
        name: str,
        inputs: dict[str, Any],
        change: Callable[[dict[str, Any]], None],
        shown: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        """Bring what step ``name`` made up to ``inputs``, if a person changed them since they were sent.

        ``change`` is called with the fields that differ. What an older hubman sent stands in no journal: then ``shown``
        counts, what the site says now, or without it everything as unchanged.
        """
        step = self.log.step(name)
        mark = fingerprint(inputs)
        under_way = self._fields_under_way(name)
        if step is None or not step.is_done or (step.inputs == mark and not under_way):
            return
        sent = step.answer.get("sent")
        if sent is None:
            there = shown() if shown is not None else inputs
            sent = {key: there.get(key, value) for key, value in inputs.items()}
        differing = {key: value for key, value in inputs.items() if key not in sent or sent[key] != value}
        differing |= {key: None for key in sent if key not in inputs}
        differing |= {key: inputs.get(key) for key in under_way}
        if not differing:
            self.log.finish(name, {**step.answer, "sent": inputs}, inputs=mark)
            return
        self.log.begin(f"change {name}", {"fields": sorted(differing)}, inputs=mark)
        self.tell(f"change {name}", "started")
        change(differing)
        self.tell(f"change {name}", "sent")
        self.log.finish(name, {**step.answer, "sent": inputs}, inputs=mark)
        self.log.finish(f"change {name}", {})
        self.tell(f"change {name}", "done")

    def _fields_under_way(self, name: str) -> list[str]:
        """The fields of a change that was cut off: nobody knows what the site says of them now."""
        change = self.log.step(f"change {name}")
        return [] if change is None or change.is_done else list(change.answer.get("fields", ()))

    def tell(self, step: str, state: str) -> None:
        self.report(Progress(stage="publish", message=f"{step}: {state}", data={"step": step, "state": state}))

    def _call(self, name: str, call: Callable[[], int], look: Callable[[], int]) -> int:
        """Make the call; where its answer gets lost, look, and only if nothing was made make it once more."""
        try:
            return call()
        except AnswerLostError:
            pass
        except CivitaiError as error:
            if 400 <= error.status < 500:
                # Refused: nothing was made, and the next try begins anew.
                self.log.forget(name)
            raise
        return look() or call()

    def _done(self, name: str, made: int, sent: object, mark: str) -> int:
        self.tell(name, "sent")
        self.log.finish(name, {"id": made, "sent": sent}, inputs=mark)
        self.tell(name, "done")
        return made

    def _listed(self, listed: Callable[[], list[int]], *, fresh: bool) -> list[int]:
        """What is there before a call; a replica that has not heard of what it belongs to yet is given time."""
        for wait in LOOKS if fresh else ():
            try:
                return listed()
            except MissingError:
                self.client.wait(wait)
        return listed()

    def _look(self, name: str, listed: Callable[[], list[int]], before: list[int], *, patient: bool) -> int:
        """The newest thing that was not there before and that no other publication made, or 0."""
        known = {*before, *self.log.of_others(name)}
        hidden: MissingError | None = None
        for wait in (*LOOKS, 0.0) if patient else (0.0,):
            try:
                found, hidden = [number for number in listed() if number not in known], None
            except MissingError as error:
                found, hidden = [], error
            if found:
                return max(found)
            if wait:
                self.client.wait(wait)
        if hidden is not None:
            # What it would be found in is not shown: to take it for not made could make a second one.
            hint = "nothing was changed: run the same command again in a few minutes"
            raise UnavailableError(f"Civitai does not show whether the {name} was made", hint) from hidden
        return 0
