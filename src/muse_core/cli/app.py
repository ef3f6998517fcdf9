"""The command tree and how its errors reach the user."""

from __future__ import annotations

import atexit
import contextlib
import inspect
import io
import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn, TextIO

import typer

from muse_core import __version__
from muse_core.cli.command import OnceCommand
from muse_core.cli.convert import convert
from muse_core.cli.dataset import dataset_convert
from muse_core.cli.detect import detect_command
from muse_core.cli.evaluate import evaluate_detect
from muse_core.cli.features import features
from muse_core.cli.fetch_model import models_fetch
from muse_core.cli.finetune import finetune_command
from muse_core.cli.import_model import models_import
from muse_core.cli.info import info
from muse_core.cli.models import models_list
from muse_core.cli.numbers import BadNumberError
from muse_core.cli.pretrain import pretrain_command
from muse_core.cli.probe import evaluate_probe
from muse_core.cli.relearn import relearn_command
from muse_core.cli.rescue import rescue
from muse_core.cli.rois import rois
from muse_core.errors import UserError
from muse_core.files import system_sentence
from muse_core.isolation.closed_streams import open_closed_streams
from muse_core.jobs.processor import limit_threads, wait_politely
from muse_core.jobs.signals import discard_output, on_stop_signals

_CANCELLED = 130
_NO_VALUE = re.compile(r"--[a-z][a-z-]*=")
_DASH = re.compile(r"(--[a-z][a-z-]*=)?-")

app = typer.Typer(
    name="muse",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Detect and classify the nuclei of H&E slides.",
)
evaluate_app = typer.Typer(no_args_is_help=True, help="Measure a model on annotated images.")
dataset_app = typer.Typer(no_args_is_help=True, help="Turn published datasets into points-folders.")
models_app = typer.Typer(no_args_is_help=True, help="The models on this machine.")


def _register(to: typer.Typer, name: str, command: Callable[..., None], **settings: Any) -> None:
    """Add a command whose help is wrapped to the terminal, not where its docstring is."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    to.command(name, cls=OnceCommand, help=text, **settings)(command)


_register(app, "detect", detect_command)
_register(app, "info", info)
# muse finetune parses options of earlier versions itself, see finetune_flags.
_anything = {"allow_extra_args": True, "ignore_unknown_options": True}
_register(app, "finetune", finetune_command, context_settings=_anything)
_register(app, "features", features)
_register(app, "relearn", relearn_command)
_register(app, "rois", rois)
_register(app, "pretrain", pretrain_command)
_register(app, "convert", convert)
_register(app, "rescue", rescue)
_register(evaluate_app, "detect", evaluate_detect)
_register(evaluate_app, "probe", evaluate_probe)
_register(models_app, "list", models_list)
_register(models_app, "fetch", models_fetch)
_register(models_app, "import", models_import)
_register(dataset_app, "convert", dataset_convert)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(dataset_app, name="dataset")
app.add_typer(models_app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-muse {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and stop.",
        ),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 the user can put it right, 130 cancelled.

    Args:
        arguments: Without the program's name; None takes those of the process.
    """
    open_closed_streams()
    wait_politely()
    limit_threads()
    try:
        with on_stop_signals(_interrupt):
            code = _run(arguments)
    except KeyboardInterrupt:
        code = _CANCELLED
    atexit.register(_end_quietly)
    sys.exit(code)


def _end_quietly() -> None:
    """Print nothing about requests to servers that are still pending when the program ends."""
    sys.unraisablehook = lambda _: None


def _interrupt(number: int) -> None:
    raise KeyboardInterrupt


def _run(arguments: Sequence[str] | None) -> int:
    # Their warnings of a bad file, or of pending requests, would otherwise be printed beside our
    # own message.
    for library in ("tifffile", "asyncio"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Some file names cannot be encoded for every terminal.
        sys.stdout.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_unmeant(given)
        app(args=given, prog_name="muse")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BadNumberError as error:
        _say(error.of(given))
        code = 2
    except UserError as error:
        _say(str(error))
        code = 2
    except (OSError, RuntimeError, MemoryError, ImportError) as error:
        return _refused_by_system(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        return _refused_by_system(error)
    return code


def _refuse_unmeant(given: Sequence[str]) -> None:
    """Refuse arguments that cannot be meant as names of files.

    An unset shell variable leaves an empty path, which would be the current folder; a dash means
    standard input or output in other programs.

    Raises:
        UserError: An argument, or the value of an option, is empty or a dash.
    """
    for before, argument in zip(("muse", *given), given, strict=False):
        if not argument:
            raise UserError(f"The argument after {before} is empty.")
        if _NO_VALUE.fullmatch(argument):
            raise UserError(f"{argument} is followed by nothing.")
        if _DASH.fullmatch(argument):
            raise UserError("- is no file here; nuclei go to standard output as /dev/stdout.")


def _say(sentence: str) -> None:
    """Write a sentence on standard error, on one line whatever names of files hold."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)
    try:
        sys.stderr.write(f"error: {shown}\n")
    except OSError:
        # Nobody is reading it any more, as in ``2>&1 | head``; the exit code still says it.
        _discard(sys.stderr)


def _refused_by_system(error: OSError | RuntimeError | MemoryError | ImportError) -> int:
    """Say which file, room, memory or thread the system refused; raises errors of other kinds."""
    sentence = system_sentence(error)
    if not sentence:
        raise error
    _say(sentence)
    _discard(sys.stdout)
    return 2


def _discard(stream: TextIO) -> None:
    """Discard what is buffered, which would fail once more when the program ends."""
    with contextlib.suppress(OSError, ValueError):
        discard_output([stream.fileno()])
