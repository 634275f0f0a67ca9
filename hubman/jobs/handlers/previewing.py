"""An engine for a job, which leaves what its pictures are going to look like in the job's folder while they are drawn."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hubman.generate.client import Engine, OnPreview
from hubman.generate.protocol import Picture, Preview
from hubman.generate.request import DrawRequest
from hubman.jobs.records import PREVIEWS, Job
from hubman.progress import Report, never, silent


class JobEngine(Engine):
    """The engine of ``home`` on behalf of a job. Previews are gone once their picture is there, and all at the end.

    A disk that refuses them costs the previews, not the pictures.
    """

    def __init__(self, home: Path, job: Job) -> None:
        super().__init__(home, name=f"job {job.id[-6:]}")
        self._previews = Path(job.folder) / PREVIEWS

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 0,
        report: Report = silent,
        cancelled: Callable[[], bool] = never,
        preview: OnPreview | None = None,
    ) -> Iterator[Picture]:
        pictures = super().draw(
            requests, out, batch=batch, report=report, cancelled=cancelled, preview=preview or self._keep
        )
        for picture in pictures:
            with contextlib.suppress(OSError):
                self._file(picture.key).unlink(missing_ok=True)
            yield picture

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._previews, ignore_errors=True)

    def _file(self, key: str) -> Path:
        return self._previews / f"{key}.png"

    def _keep(self, preview: Preview) -> None:
        path = self._file(preview.key)
        with contextlib.suppress(OSError):
            self._previews.mkdir(exist_ok=True)
            part = path.with_suffix(".part")
            part.write_bytes(preview.png)
            part.replace(path)
