"""``hubman``: without a command the TUI, with one that command. Commands are imported when called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from hubman import __version__
from registry.errors import HubError, UsageError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "run the whole loop on the embedded base model and the local sandbox"),
    "root": ("library", "the folders that are indexed"),
    "scan": ("library", "index new, changed, moved and missing files"),
    "watch": ("watch", "keep the index live until it is stopped"),
    "verify": ("library", "read files again and tell which are no longer sound"),
    "ls": ("library", "list models that match a query"),
    "facets": ("query", "count the models that match a query, by base, type, tag and so on"),
    "view": ("query", "queries with a name"),
    "show": ("showing", "everything known of a model"),
    "edit": ("editing", "change what is known of a model"),
    "preview": ("preview", "the pictures of a model and their levels"),
    "tag": ("editing", "add and remove tags"),
    "collection": ("collection", "named, nested lists of models"),
    "trash": ("trash", "hide a model, with --files move its files aside too"),
    "restore": ("trash", "take a model out of the trash"),
    "organise": ("organise", "move and rename files by a template"),
    "rename": ("organise", "name a model, and its files with it"),
    "dupes": ("dupes", "files that are there more than once"),
    "sidecar": ("sidecar", "what other programs noted beside the files: who said what, read, write"),
    "import": ("exchange", "take over a whole installation of another program, or an exported file"),
    "export": ("exchange", "everything that was said of models, as JSON Lines or CSV"),
    "journal": ("journal", "what was done to the library"),
    "undo": ("journal", "take back what was done"),
    "inspect": ("inspection", "what a file says of itself and why that is so, without a registry"),
    "images": ("images", "what pictures say they were drawn with"),
    "search": ("searching", "find models on Civitai"),
    "creators": ("searching", "find creators on Civitai"),
    "examples": ("searching", "pictures on Civitai of a version, with their prompts"),
    "pull": ("pulling", "download from Civitai, verified and indexed"),
    "queue": ("queueing", "downloads that wait, run and have ended"),
    "enrich": ("enriching", "ask Civitai about the files that are here"),
    "updates": ("enriching", "newer versions of what is here, and what is new of those you follow"),
    "follow": ("following", "follow a creator or a model on Civitai"),
    "unfollow": ("following", "follow a creator or a model no longer"),
    "following": ("following", "whom and what you follow"),
    "publish": ("publishing", "publish a model on Civitai, or resume a broken publication"),
    "stats": ("stats", "downloads, ratings and comments of what you published"),
    "login": ("login", "store a Civitai API key in the system's keyring"),
    "whoami": ("login", "whose the Civitai key is, and what it may do"),
    "logout": ("login", "remove the Civitai key from the keyring"),
    "sandbox": ("sandbox", "run a local Civitai to rehearse against"),
    "dataset": ("dataset", "check and caption training images"),
    "train": ("training", "train a LoRA"),
    "runs": ("runs", "the trainings that were, and in what two of them differ"),
    "prompt": ("prompting", "how a prompt is read, and what in it does not do what it seems to"),
    "generate": ("generating", "draw pictures"),
    "sweep": ("making", "draw a LoRA at several strengths, or along any axes"),
    "combine": ("making", "draw LoRAs together: every strength, ratios, pairs"),
    "recommend": ("recommending", "the strength that a sweep suggests, and why; --set keeps it"),
    "grid": ("grids", "grids that were drawn: look, go on, take them out"),
    "engine": ("engine", "the process that draws: what it has loaded, who waits; end it"),
    "analyze": ("analysing", "what the weights of LoRAs say: sizes, conflicts, where they come from"),
    "convert": ("converting", "write a LoRA in another format"),
    "merge": ("deriving", "make one LoRA of several, each at its ratio"),
    "resize": ("deriving", "write a LoRA at another rank"),
    "extract": ("deriving", "write what a tuned checkpoint has beyond its base as a LoRA"),
    "sync": ("sync", "bring the collection in step with a remote"),
    "remote": ("sync", "where collections are synced through"),
    "device": ("device", "the machines that share the collection, and what each keeps"),
    "fetch": ("weights", "bring the weights of a model here from a remote"),
    "drop": ("weights", "delete the weights of a model here that a remote has"),
    "pin": ("weights", "keep the weights of a model on this machine"),
    "unpin": ("weights", "pin a model no longer"),
    "conflicts": ("conflicts", "edits of two machines that did not know of each other, to choose between"),
    "jobs": ("work", "list long work"),
    "job": ("work", "attach to, pause, cancel or resume a job"),
    "doctor": ("work", "what works on this machine, and what to do about the rest"),
}
"""Name to (module of :mod:`hubman.cli`, one-line help)."""

_FUNCTIONS = {"import": "import_"}
"""Commands whose name is a word of Python's."""


class LazyGroup(click.Group):
    """Knows its commands by name and help, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hubman.cli.{COMMANDS[cmd_name][0]}")
        return cast("click.Command", getattr(module, _FUNCTIONS.get(cmd_name, cmd_name.replace("-", "_"))))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hubman %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """A terminal hub for LoRA models: train, test, publish and sync them. Without a command, the terminal UI."""
    if ctx.invoked_subcommand is None:
        # In a browser another program draws what the app sends it.
        if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
            raise UsageError("the terminal UI needs a terminal", "hubman --help lists the commands that need none")
        from tui.app import HubmanApp

        HubmanApp(watch=True).run()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and exit: 0 done, 1 failed, 2 wrong usage."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """As :func:`main`, but returns the exit status."""
    try:
        _check_text(sys.argv[1:] if arguments is None else arguments)
        result: Any = cli.main(arguments, prog_name="hubman", standalone_mode=False)
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.exceptions.NoArgsIsHelpError as request:
        request.show()
        return request.exit_code
    except BrokenPipeError:
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 1
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        from hubman.cli.output import clean

        message, status = told
        click.echo(clean(f"hubman: {message}"), err=True)
        for line in _where(error):
            click.echo(line, err=True)
        return status
    return result if isinstance(result, int) else 0


def _check_text(arguments: Sequence[str]) -> None:
    """Bytes that are not UTF-8 can name a file, and nothing else."""
    for word in arguments:
        if not word.isascii() and word != word.encode(errors="replace").decode() and not Path(word).exists():
            raise UsageError(f"{word!r} is not UTF-8 text", "type it again")


def _where(error: Exception) -> Sequence[str]:
    """The query line and carets under its wrong part, where that is what is wrong."""
    from registry.query_terms import QueryError

    if not isinstance(error, QueryError):
        return ()
    from hubman.pointing import pointer

    return pointer(error)


def _told(error: Exception) -> tuple[str, int] | None:
    """One line and the exit status for what can go wrong outside hubman; None for a mistake of its own."""
    import sqlite3

    match error:
        case HubError():
            return str(error), 2 if isinstance(error, UsageError) else 1
        case click.UsageError():
            message = error.format_message().rstrip(".")
            return f"{message}: {error.ctx.command_path if error.ctx else 'hubman'} --help shows how", error.exit_code
        case click.ClickException():
            return error.format_message(), error.exit_code
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}: mend that, then repeat the command", 1
        case sqlite3.Error():
            return f"the registry can't be used now ({error}): free disk space or close what locks it, then repeat", 1
    return None


if __name__ == "__main__":
    main()
