"""Every error a user can cause, with its exit code.

An error is a small help text: *message* says what is wrong, *origin* where the
offending value came from, *hint* what to do about it.  Only ``dynbuild.cli`` prints
them and exits.
"""

from __future__ import annotations

_QUOTED = 60
"""Characters of a user's value that a message shows."""
_LOOKED_AT = 4096
"""Those of them that are looked at for secrets; the rest is not shown."""


def one_line(text: str) -> str:
    """*text* in one line, its white space folded."""
    return " ".join(text.split())


def shorten(text: str, width: int) -> str:
    """*text* cut in the middle to *width* characters, the ends being what identifies it."""
    if len(text) <= width:
        return text
    keep = width - 1
    return f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"


def quote(text: str) -> str:
    """A user's value as a message shows it: in quotes, on one line, of bounded length."""
    from dynbuild import masking

    # Of a secret that is cut in two, no half would be known for one.
    ends = shorten(masking.scrub_message(shorten(text, _LOOKED_AT)), 2 * _QUOTED)
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in ends)
    return f"'{shorten(line, _QUOTED)}'"


class DynbuildError(Exception):
    """Base of all expected failures.

    Args:
        message: What is wrong, one sentence, no trailing newline.
        hint: What the reader can do, or ``None`` when nothing sensible can be said.
        origin: Where the value came from (a file and line, a flag, a variable).
        details: Further lines shown as they are, such as the end of a log.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        origin: str | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        # A message quotes what it refuses, and that may hold a password.
        # Most commands meet no error, and need no patterns of secrets.
        from dynbuild import masking

        self.message = masking.scrub_message(message)
        super().__init__(self.message)
        self.hint = hint and masking.scrub_message(hint)
        self.origin = origin and masking.scrub_message(origin)
        self.details = tuple(map(masking.scrub_message, details))


class BuildFailed(DynbuildError):
    """The build ran and did not succeed."""

    exit_code = 1


class ToolFailed(DynbuildError):
    """A program that dynbuild started ended with a non-zero status.

    Attributes:
        returncode: The status of the program; negative for a signal.
        stderr: What it wrote on standard error, decoded.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        returncode: int,
        stderr: str = "",
        hint: str | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.returncode = returncode
        self.stderr = stderr


class RequestError(DynbuildError):
    """What was asked for is wrong: a flag, a variable, a file of settings."""

    exit_code = 2


class TemplateError(DynbuildError):
    """A template is missing, or does not fit the plan it is rendered for."""

    exit_code = 2


class NotReady(DynbuildError):
    """The machine lacks something that the request needs."""

    exit_code = 3


class Interrupted(DynbuildError):
    """The user, or a signal, stopped the work."""

    exit_code = 130
