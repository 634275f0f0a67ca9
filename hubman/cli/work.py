"""The commands about work in progress and the machine: jobs, job, doctor."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import sys
from typing import Any

import click
import msgspec

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.jobs import store, turns
from hubman.jobs.records import Job
from registry.database import Registry
from registry.errors import CancelledError, HubError


@click.command()
@output.json_option
def jobs(as_json: bool) -> None:
    """List long work, the newest first."""
    with open_registry() as registry:
        found = store.latest(registry)
        words = {job.id: _state(registry, job) for job in found}
    if as_json:
        output.print_json([{**msgspec.to_builtins(job), "paused": job.paused} for job in found])
        return
    if not found:
        click.echo("no jobs yet", err=True)
    output.table(
        [(job.id[-6:], job.kind, words[job.id], job.title, job.error or "") for job in found],
        ("id", "kind", "state", "title", "error"),
    )


def _state(registry: Registry, job: Job) -> str:
    """The state in a person's words: a job may be paused, or wait for others."""
    if job.paused:
        return "paused"
    waits_for = turns.ahead(registry, job)
    return f"queued, {len(waits_for)} before it" if waits_for else job.state


@click.group()
def job() -> None:
    """Attach to, pause, cancel or resume one job; ID is what ``hubman jobs`` shows."""


@job.command("attach")
@click.argument("job_id", metavar="ID")
def job_attach(job_id: str) -> None:
    """Watch a job until it ends. Ctrl-C leaves it running."""
    with open_registry() as registry:
        conclude(follow(store.get(registry, job_id)))


def follow(found: Job) -> Job:
    """Show a job's progress until it ends. Raises :class:`CancelledError` for Ctrl-C, after which it goes on unseen."""
    name = found.id[-6:]
    try:
        with open_registry() as registry, output.progress() as report:
            return store.follow(registry, found.id, report)
    except KeyboardInterrupt:
        raise CancelledError(
            f"job {name} goes on by itself", f"hubman job attach {name} watches it, hubman job cancel {name} stops it"
        ) from None


def conclude(ended: Job) -> None:
    """Say how a job ended. Raises :class:`HubError` unless it is done."""
    if ended.state != "done":
        # A cause that stays, such as bad input, stays: no promise.
        again = "tries it again" if ended.state == "failed" else "goes on"
        raise HubError(
            f"job {ended.id[-6:]} {ended.state}" + (f": {ended.error}" if ended.error else ""),
            f"hubman job resume {ended.id[-6:]} {again}",
        )
    output.say(f"job {ended.id[-6:]} done")


@job.command("cancel")
@click.argument("job_id", metavar="ID")
def job_cancel(job_id: str) -> None:
    """Ask a job to stop at its next safe point."""
    with open_registry() as registry:
        output.say(f"asked {store.cancel(registry, job_id).id[-6:]} to stop")


@job.command("pause")
@click.argument("job_id", metavar="ID")
def job_pause(job_id: str) -> None:
    """Ask a training to wait where it is, with all that it has loaded; one that waits for its turn lets others go first."""
    with open_registry() as registry:
        output.say(f"asked {store.pause(registry, job_id).id[-6:]} to wait")


@job.command("resume")
@click.argument("job_id", metavar="ID")
def job_resume(job_id: str) -> None:
    """Let a paused job go on, or start a failed or cancelled one again where it left off."""
    with open_registry() as registry:
        before = store.look(registry, job_id)
        store.resume(registry, job_id)
        output.say(f"{before.id[-6:]} goes on" if before.paused else f"started {before.id[-6:]} again")


@click.command()
@output.json_option
def doctor(as_json: bool) -> None:
    """What works on this machine, and what to do about the rest."""
    findings = [
        _python(),
        _sqlite(),
        _home(),
        *_settings(),
        _pictures(),
        _video(),
        *_packages(),
        *_civitai(),
        *_sync(),
        _disk(),
    ]
    if as_json:
        output.print_json([{"name": name, "ok": ok, "what": what} for name, ok, what in findings])
        return
    for name, ok, what in findings:
        click.echo(f"{'ok ' if ok else '-- '} {name:<12} {output.clean(what)}")


Finding = tuple[str, bool, str]


def _python() -> Finding:
    return "python", sys.version_info >= (3, 11), sys.version.split()[0]


def _sqlite() -> Finding:
    with sqlite3.connect(":memory:") as db:
        has_fts = bool(
            db.execute("SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_FTS5'").fetchone()
        )
    return (
        "sqlite",
        has_fts,
        f"{sqlite3.sqlite_version}{'' if has_fts else ' without FTS5: search needs a Python whose SQLite has it'}",
    )


def _home() -> Finding:
    home = config.home()
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    writable = os.access(nearest, os.W_OK)
    return "home", writable, f"{home}{'' if writable else ': not writable, set HUBMAN_HOME to a folder you can write'}"


def _settings() -> list[Finding]:
    return [("settings", False, problem) for problem in config.settings(config.home())[1]]


def _pictures() -> Finding:
    """What this terminal draws; asks it, as the TUI does at its start."""
    from hubman import terminal

    setting = config.settings(config.home())[0].pictures
    found = terminal.find(setting)
    drawn = {"blocks": "quadrant blocks", "off": "none"}.get(found.method, f"{found.method}, and quadrant blocks")
    return "pictures", found.method != "off", f"{drawn} (pictures = {setting}: {found.reason})"


def _video() -> Finding:
    from registry import video

    found = video.decoder()
    how = {"av": "by PyAV", None: "pip install 'hubman[video]', or an ffmpeg on the PATH"}.get(found, f"by {found}")
    return "video", found is not None, f"first frames of videos: {how}"


def _packages() -> list[Finding]:
    found: list[Finding] = []
    for extra, modules, use in (
        ("ml", ("torch", "diffusers", "transformers", "peft"), "training and generation"),
        ("tagger", ("numpy", "onnxruntime"), "captions by taggers"),
        ("cloud", ("obstore",), "syncing through S3, GCS and Azure"),
        ("crypt", ("pyrage", "mnemonic", "cryptography"), "encrypted and signed remotes"),
        ("hf", ("huggingface_hub",), "publishing on the Hugging Face Hub"),
    ):
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        found.append((extra, not missing, f"{use}: " + (f"pip install 'hubman[{extra}]'" if missing else "installed")))
    return found


def _civitai() -> list[Finding]:
    from hubman.cli.civitai_state import findings

    return findings(config.home())


def _sync() -> list[Finding]:
    from hubman.cli.sync_state import findings

    return findings(config.home())


def _disk() -> Finding:
    nearest = next(folder for folder in (config.home(), *config.home().parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    return "disk", free > 2_000_000_000, f"{output.size(free)} free"


def run(kind: str, title: str, request: dict[str, Any]) -> Job:
    """Start a job, watch it to its end, and return it. Raises :class:`HubError` unless it is done."""
    with open_registry() as registry:
        job = store.start(registry, kind, title, request)
    ended = follow(job)
    if ended.state != "done":
        conclude(ended)
    return ended
