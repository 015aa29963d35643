"""Whether this machine is ready for builds and runs, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dynbuild import masking
from dynbuild.doctor.checks import CHECKS
from dynbuild.doctor.model import Answer, Check, warning
from dynbuild.doctor.probe import Probe
from dynbuild.errors import DynbuildError


def examine(env: Mapping[str, str], context: Path, *, root: Path = Path("/")) -> tuple[Check, ...]:
    """Look at everything, the slow things at once.

    Args:
        env: The environment of the user.
        context: Folder of the build context.
        root: Where ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are found.
    """
    probe = Probe(env, context, root)
    with ThreadPoolExecutor(max_workers=len(CHECKS)) as pool:
        done = [pool.submit(check, name, ask, probe) for name, ask in CHECKS.items()]
        return tuple(one.result() for one in done)


def check(name: str, ask: Callable[[Probe], Answer], probe: Probe) -> Check:
    """One check; whatever goes wrong in it becomes its answer and disturbs no other."""
    # The machine may be broken in ways nobody thought of: that is worth telling, too.
    try:
        answer = ask(probe)
    except DynbuildError as error:
        answer = warning(error.message, error.hint or "")
    except Exception as error:
        answer = warning(f"cannot be examined: {error!r}")
    return Check(
        name=name,
        status=answer.status,
        value=masking.scrub(answer.value, hashes=True),
        remedy=masking.scrub(answer.remedy, hashes=True) if answer.status != "ok" else "",
    )


def ready(checks: Sequence[Check]) -> bool:
    """Whether anything can be built."""
    return all(check.status != "problem" for check in checks)
