"""Which failures are worth another try, and when.  Pure."""

from __future__ import annotations

import random
import re

from dynbuild.build.result import Failure

_FIRST_SECONDS = 2.0
_LONGEST_SECONDS = 60.0
_JITTER = 0.5
_PATIENCE_SECONDS = 300.0
_ASKED = re.compile(r"retry[- ]after\"?[:= ]+\"?(\d{1,6})(?![\d-])", re.IGNORECASE)


def is_worth(failure: Failure) -> bool:
    """Whether the same again may go well: a server or the network failed.

    Never where a login, a checksum, a compiler or a name was wrong.
    """
    return failure.kind == "transient"


def is_worth_for_cache(failure: Failure) -> bool:
    """Whether a build cache that was not written may be, the next time.

    Registries answer many exports at once with errors that mean nothing by themselves, a 400 for
    a manifest among them: all are tried again that have no certain reason.
    """
    return failure.kind in ("transient", "user")


def delay(tried: int, failure: Failure, chance: random.Random) -> float:
    """Seconds to wait before the next try.

    Doubled each time, and of random length, so that builds which failed together do not come
    back together.  What a server asks for is waited for, up to five minutes.

    Args:
        tried: How many tries there were.
        failure: How the last one ended.
        chance: The source of the random part.
    """
    said = "\n".join((failure.message, *failure.lines))
    asked = max((float(number) for number in _ASKED.findall(said)), default=0.0)
    usual = min(_FIRST_SECONDS * 2.0 ** (tried - 1), _LONGEST_SECONDS)
    return min(asked, _PATIENCE_SECONDS) + usual * (1 - _JITTER * chance.random())
