"""Why a build failed: BuildKit's and its programs' words, and what kind of fault they mean.

``RECOGNISERS`` is the one table of such words; ``tests/data/failures.toml`` has a sample, as it
was said, for each.  Pure: text in, ``Failure`` out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dynbuild.build.result import Failure, Kind
from dynbuild.build.solve import Solve, is_cancelled, is_import
from dynbuild.build.vertex import Step
from dynbuild.errors import BuildFailed, DynbuildError, Interrupted
from dynbuild.quick import regex

_TITLE = 160
_PASSING = r"(?:408|429|50[0234])\b"
"""Statuses of HTTP that may be others the next time."""
_MESSAGES = 12
_AGAIN = "a server or the network failed: build again, what is done comes from the cache"
_NO_NETWORK = (
    "names are not resolved there: where that goes on, the engine's containers have no network;"
    " `dynbuild doctor` looks, and `dynbuild engine up` mends the private engine's"
)
_LOGIN = "log in to that registry on this machine (docker login), or name an image it gives to all"
_ROOM = "make room on the engine's disk: docker system prune, or `dynbuild engine prune`"
_EMULATE = (
    "the image, or a program in it, is for another architecture: `dynbuild engine emulate` lets"
    " such programs run, --platform and --base-image choose others"
)
_OTHER_IMAGE = (
    "if this machine cannot pull that image, give one that it has: --base-image, or "
    "--build-context IMAGE=docker-image://OTHER"
)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Words that mean one kind of fault.

    Attributes:
        kind: The kind.
        words: Alternatives, as a regular expression; upper and lower case are the same.
        hint: What to do; empty where the message says all there is.
        builder: Whether only the builder means that by them: what a step printed may have
            such words of something else.
    """

    kind: Kind
    words: str
    hint: str = ""
    builder: bool = False


# The first that fits counts: what is certain and lasting stands before what may pass.
RECOGNISERS = (
    Recogniser(
        "disk",
        r"no space left on device|disk quota exceeded|ENOSPC"
        r"|not enough free space|not enough space on (?:the )?dis[ck]",
        _ROOM,
    ),
    Recogniser(
        "platform",
        r"exec format error|no match for platform in manifest|does not match the (?:specified|"
        r"expected|requested|detected host) platform|no matching manifest for|unsupported platform"
        r"|cannot execute binary file",
        _EMULATE,
    ),
    # Certain to happen again, whatever network words stand around it.
    Recogniser(
        "user",
        r"checksum mismatch|checksum (?:does not|did not|doesn't) match|hash sum mismatch"
        r"|digest mismatch|THESE PACKAGES DO NOT MATCH THE HASHES",
        "what came is not what was agreed on: renew the checksum, or find out who changed it",
    ),
    Recogniser(
        "user",
        r"x509: |certificate verif(?:y|ication) failed|SSL certificate problem"
        r"|self[- ]signed certificate",
        "a certificate is not trusted: DYNBUILD_CA_BUNDLE names the site's for build steps, the"
        " engine has its own",
    ),
    Recogniser(
        "auth",
        r"pull access denied|insufficient_scope|no basic auth credentials|authorization failed"
        r"|authentication (?:is )?required|requested access to the resource is denied"
        r"|could not read (?:Username|Password)|Authentication failed"
        r"|Permission denied \(publickey|401:?\s+unauthorized|403:?\s+forbidden"
        r"|unexpected status(?: from \w+ request to \S+)?:? 40[13]\b"
        r"|returned error: 40[13]\b|40[13] client error|HTTP error 40[13]\b"
        r"|status code: 40[13]\b|HTTP response from .*, got 40[13]\b"
        r"|failed to push \S+: denied",
        _LOGIN,
    ),
    Recogniser(
        "user",
        r"^\s*\S+?:\d+(?::\d+)?: (?:fatal )?error: |^error\[E\d{4}\]: |undefined reference to [`']",
    ),
    Recogniser(
        "user",
        r"413:? (?:Request Entity|Content|Payload) Too Large",
        "the registry, or a proxy before it, takes no layer of that size: raise its limit",
    ),
    Recogniser(
        "transient",
        r"Temporary failure (?:in name resolution|resolving)"
        r"|Could(?:n't| not) resolve (?:host|proxy|')"
        r"|Name or service not known|failed to lookup address|EAI_AGAIN|NameResolutionError"
        r"|network is unreachable|no route to host|lookup \S+(?: on \S+)?: .*i/o timeout"
        r"|server misbehaving|bad address '",
        _NO_NETWORK,
    ),
    Recogniser(
        "transient",
        r"connection reset|broken pipe|i/o timeout|connection timed out"
        r"|operation timed out|(?:read|connect|client).{0,24}timed? ?out|timeout awaiting"
        r"|context deadline exceeded|timeout was reached|unexpected EOF|early EOF"
        r"|http2: server sent GOAWAY|stream error: stream ID|toomanyrequests|too many requests"
        rf"|unexpected status(?: from \w+ request to \S+)?:? {_PASSING}"
        rf"|returned error: {_PASSING}|{_PASSING} server error|HTTP error {_PASSING}"
        rf"|status code: {_PASSING}|HTTP response from .*, got {_PASSING}|ERROR {_PASSING}:"
        rf"|awaiting response\.\.\. {_PASSING}|too many {_PASSING} error responses"
        r"|50[0234] +(?:Internal Server Error|Bad Gateway|Service (?:Temporarily )?Unavailable"
        r"|Gateway Time-?out)|the remote end hung up unexpectedly|RPC failed|spurious network error"
        r"|IncompleteRead|Connection aborted|Connection broken|transfer closed with"
        r"|transferred a partial file|connection closed at byte|failure when receiving data"
        r"|connection closed before message completed|end of file before message length"
        r"|error decoding response body|empty reply from server|server returned nothing"
        r"|error reading from server"
        # apt says no more of a connection, or a body, that ended early.
        r"|Connection failed \[IP|Undetermined Error \[IP"
        r"|blob unknown to registry|request must be retried"
        r"|read/write on closed pipe|error in the HTTP/2 framing layer",
        _AGAIN,
    ),
    # A handshake that was not finished, as each TLS library has it.
    Recogniser(
        "transient",
        r"TLS handshake timeout|tls handshake eof|tls: (?:internal error|handshake failure)"
        r"|SSL_ERROR_SYSCALL|unexpected eof while reading|EOF occurred in violation of protocol"
        r"|TLS connection was non-properly terminated",
        _AGAIN,
    ),
    Recogniser(
        "missing",
        r"404 +Not Found|returned error: 404\b|404 client error|HTTP error 404\b|ERROR 404:"
        r"|status code: 404\b|couldn't find remote ref"
        r"|Remote branch .* not found|Unable to locate package|No matching distribution found"
        r"|was not found in the package registry",
        "what is fetched is not there: another version, or another mirror",
    ),
    Recogniser(
        "user",
        r"was filtered by `exclude-newer`|is missing an upload date",
        "UV_EXCLUDE_NEWER leaves out what is newer, and all of an index that tells no dates:"
        " another date, or --build-arg UV_EXCLUDE_NEWER= for none",
    ),
    Recogniser(
        "transient",
        r": EOF$|httpReadSeeker: failed open(?!.*: not found)",
        _AGAIN,
        builder=True,
    ),
    # BuildKit, where a step goes on for a build that begins as another one with it is called off.
    Recogniser(
        "transient",
        r"failed to commit \S+ to \S+ during finalize: .*\bsnapshot \S+ does not exist",
        _AGAIN,
        builder=True,
    ),
    # Where neither its reason is known nor a fault of the way there.
    Recogniser("auth", r"failed to authorize", _LOGIN, builder=True),
    Recogniser(
        "missing",
        r"failed to calculate checksum of ref|no such file or directory|failed to stat",
        "a file that is copied is not in the build context, or .dockerignore leaves it out",
        builder=True,
    ),
    Recogniser(
        "missing",
        r"Cannot connect to the Docker daemon|no builder .* found|no such host|: not found$"
        r"|connection refused|could(?:n't| not) connect to server|manifest unknown|name unknown"
        r"|repository .*not found|unexpected status(?: from \w+ request to \S+)?:? 404\b"
        r"|invalid response status 404",
        builder=True,
    ),
)
_COMPILED = tuple((one, regex(one.words, re.IGNORECASE | re.M)) for one in RECOGNISERS)
_ANNOUNCED = regex(
    r"^.*(?:Retry\(total=[1-9]|\([1-9]\d* tr(?:y|ies) remaining\)|will retry in ).*$"
    r"|^Ign:\d+ .*\n  .*$|^.*\nRetrying\.$"
    r"|^\[MIRROR\] (\S+): .*$(?![\s\S]*^\[FAILED\] \1: )",
    re.IGNORECASE | re.M,
)
"""A fault after which a program tries again itself: pip, cargo, curl, apt, wget; dnf, elsewhere."""


def recognise(text: str, *, printed: bool = False) -> Recogniser | None:
    """What *text* means; ``None`` where it has no words that are known.

    Args:
        text: Of the builder.
        printed: It is what a step printed: what a program got over by itself does not count.
    """
    if printed:
        text = _ANNOUNCED.sub("", text)
    for one, words in _COMPILED:
        if not (printed and one.builder) and words.search(text):
            return one
    return None


def of_solve(solve: Solve, status: int) -> Failure:
    """Why *solve* failed.

    Args:
        solve: The build, as far as it came.
        status: How its process ended.
    """
    step = solve.failed()
    if step is not None:
        return _of_step(step)
    # Nothing ran: the definition, the Dockerfile or the engine was refused.
    lines = [line for line in solve.messages if line.strip()] or [f"status {status}"]
    known = recognise("\n".join(lines))
    return Failure(
        kind=known.kind if known else "user",
        message=next((line for line in lines if line.startswith("ERROR: ")), lines[-1]),
        lines=tuple(lines[-_MESSAGES:]),
        hint=known.hint if known else "",
    )


def of_cache(solve: Solve) -> Failure | None:
    """Why a build cache was not written; ``None`` where all were."""
    return next(map(_of_step, solve.unwritten_caches()), None)


def of_import(solve: Solve) -> Failure | None:
    """Why a build cache was not read that may be the next time; ``None`` where there is none."""
    found = filter(lambda step: is_import(step.name.instruction), solve.steps.values())
    lost = (_of_step(step) for step in found if step.error)
    return next((why for why in lost if why.kind == "transient"), None)


def of_error(error: BaseException) -> Failure:
    """The failure of a build that an error of dynbuild itself ended."""
    if isinstance(error, DynbuildError):
        return Failure(kind="missing", message=error.message, hint=error.hint or "")
    if isinstance(error, KeyboardInterrupt):
        return cancelled()
    return Failure(kind="user", message=f"{type(error).__name__}: {error}")


def to_error(failure: Failure, log: Path) -> BuildFailed | Interrupted:
    """What a person is told of *failure*.

    Args:
        failure: Why the build failed.
        log: The log of the build.
    """
    if failure.kind == "cancelled" and not failure.step:
        return Interrupted("interrupted; the build is cancelled", hint=f"its log so far: {log}")
    hint = "; ".join(filter(None, (failure.hint, f"the whole log: {log}")))
    if not failure.step:
        return BuildFailed(
            "the build could not be carried out",
            details=failure.lines or (failure.message,),
            hint=hint,
        )
    return BuildFailed(
        f"the step failed: {failure.step}",
        details=(*failure.lines, failure.message),
        hint=hint,
    )


def cancelled() -> Failure:
    """The failure of what a signal ended."""
    return Failure(kind="cancelled", message="the build was cancelled")


def _of_step(step: Step) -> Failure:
    kind, hint = _step_kind(step.error, tuple(step.tail))
    if "load metadata" in step.name.instruction or "failed to resolve source" in step.error:
        hint = "; ".join(filter(None, (_OTHER_IMAGE, hint)))
    reason = re.sub(r'^process ".*" did not', "the command did not", step.error, flags=re.DOTALL)
    return Failure(
        kind=kind,
        step=step.name.title[:_TITLE],
        message=reason,
        lines=tuple(step.tail),
        hint=hint,
    )


def _step_kind(error: str, tail: Sequence[str]) -> tuple[Kind, str]:
    # The command line of a process may hold any words; what it printed last says why it ended.
    bare = re.sub(r'^process ".*" did not', "the command did not", error, flags=re.DOTALL)
    if is_cancelled(bare) and not tail:
        return "cancelled", ""
    known = recognise(bare) or recognise("\n".join(tail), printed=True)
    return (known.kind, known.hint) if known else ("user", "")
