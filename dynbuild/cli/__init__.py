"""The command line: the one place that prints errors and exits."""

from __future__ import annotations

import codecs
import gc
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from dynbuild.cli import console
from dynbuild.errors import DynbuildError, one_line, shorten

if TYPE_CHECKING:
    from typer.exceptions import TyperException

BUG = 70
"""The exit status of what should not happen (EX_SOFTWARE of sysexits.h)."""


def main() -> NoReturn:
    """Run the command line and exit with the status of what happened."""
    # What is imported stays to the end; looking for garbage in it takes a tenth of a short command.
    gc.disable()
    status = command_line(sys.argv[1:])
    if console.verbosity() > 1 or threading.active_count() > 1:
        sys.exit(status)
    # There is nothing left to tidy up, and taking the interpreter apart takes long.
    os._exit(status)


def command_line(argv: Sequence[str]) -> int:
    """Run the command that *argv* says, show what went wrong; the exit status."""
    _open_streams()
    try:
        # Typer is imported here, so that an interruption of even that ends in one line.
        from dynbuild.cli import commands

        status = commands.run(words(argv))
        sys.stdout.flush()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException as error:
        # A shell that asks for words would show what is said in the middle of a line.
        status = 1 if "_DYNBUILD_COMPLETE" in os.environ else _ended(error)
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        _flush(number, stream)
    return status


def words(argv: Sequence[str]) -> list[str]:
    """*argv* with the value that a flag has where it is written without one.

    The library has no options with a value that may be left out.
    """
    ours = argv.index("--") if "--" in argv else len(argv)
    bare = {"--use-sccache": "--use-sccache=s3"}
    return [*(bare.get(word, word) for word in argv[:ours]), *argv[ours:]]


def _open_streams() -> None:
    """See to it that what is written goes where it is meant to, or fails in words.

    A stream that the caller closed leaves its number to the next file that is opened, a record
    perhaps; so /dev/null takes the number: for results it is opened to be read, so that what
    is written there fails as on any stream that does not work.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, mode)
            os.dup2(null, number)
            if null != number:
                os.close(null)
    if sys.stdout is None:
        sys.stdout = _stream(1)
    if sys.stderr is None:
        sys.stderr = _stream(2)
    codecs.register_error("dynbuild", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="dynbuild")


def _stream(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", closefd=False)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What takes the place of signs that a stream has no code for."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].replace("…", "...")
    return text.encode("ascii", errors="backslashreplace").decode("ascii"), error.end


def _ended(error: BaseException) -> int:
    """Say in one sentence what went wrong; the exit status."""
    lost = _flush(1, sys.stdout)
    if isinstance(error, console.OutputLost):
        lost = error.__cause__ if isinstance(error.__cause__, OSError) else lost
    if lost is not None:
        if not isinstance(lost, BrokenPipeError):
            _say("the result cannot be written to standard output", detail=lost.strerror)
            return 3
        # Its reader went away; nothing more can be said to it.
        return 1
    if isinstance(error, DynbuildError):
        _say(error.message, origin=error.origin, details=error.details, hint=error.hint)
        return error.exit_code
    import typer
    from typer.exceptions import TyperException

    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        console.error("interrupted")
        return 130
    return _misused(error) if isinstance(error, TyperException) else _bug(error)


def _misused(error: TyperException) -> int:
    """What is wrong with the words; the help of a group of commands where none is named."""
    from typer._click.exceptions import NoArgsIsHelpError

    from dynbuild import masking

    if isinstance(error, NoArgsIsHelpError):
        console.error(error.format_message().rstrip("\n"))
        return 2
    context = getattr(error, "ctx", None)
    seen = f"see '{context.command_path} --help'" if context is not None else None
    # It quotes words of the command line, as errors of ours do, which mask by themselves.
    _say(masking.scrub_message(error.format_message()), hint=_switch_hint(error) or seen)
    return 2


def _switch_hint(error: BaseException) -> str | None:
    """What is written for a switch with a value, ``--rm=FALSE``, as the old launcher took it."""
    spelling = getattr(error, "option_name", None)
    values = [word.partition("=")[2] for word in sys.argv if word.startswith(f"{spelling}=")]
    if not values:
        return None
    from dynbuild.cli.parameters import switch_hint
    from dynbuild.settings import request_options, run_options

    return switch_hint((*run_options.RUN, *request_options.REQUEST), str(spelling), values[0])


def _bug(error: BaseException) -> int:
    """What nobody foresaw: one sentence, and with -vv everything."""
    import traceback

    from dynbuild import masking

    if console.verbosity() >= 2:
        for line in traceback.format_exception(error):
            console.error(masking.scrub(line.rstrip("\n")))
    package = str(Path(__file__).parent.parent)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(package)]
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    said = one_line(str(error))
    what = f"{type(error).__name__}{f': {said}' if said else ''}"
    _say(
        f"this is a bug of dynbuild: {masking.scrub(what)}{where}",
        hint="'dynbuild -vv …' shows all of it; please report that with what 'dynbuild env' prints",
    )
    return BUG


def _flush(number: int, stream: TextIO) -> OSError | None:
    """Write what is left of *stream*; the error that this meets, and meets once only."""
    try:
        stream.flush()
    except OSError as error:
        # What cannot be written is not to fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        return error
    return None


def _say(
    message: str,
    *,
    origin: str | None = None,
    detail: str | None = None,
    details: Sequence[str] = (),
    hint: str | None = None,
) -> None:
    where = f" (from {_line(origin)})" if origin else ""
    why = f": {detail}" if detail else ""
    display = console.err_display()
    console.error(f"{display.style('error:', 'red')} {_line(message)}{why}{where}")
    for line in details:
        console.error(f"  {_line(line)}")
    if hint:
        console.error(f"{display.style('hint:', 'cyan')} {_line(hint)}")


_LONG = 600


def _line(text: str) -> str:
    """*text* on one line of bounded length, with nothing in it that moves a terminal's cursor."""
    ends = shorten(text.expandtabs(), 2 * _LONG)
    plain = "".join(char if char.isprintable() else repr(char)[1:-1] for char in ends)
    return shorten(plain, _LONG)
