"""What is run in an image before its tags move: the settings' ``[[test]]``, and what it promises.

A command runs in a container of the image alone, without a network and without anything of this
machine: a source tree's own file may ask for it as it may ask for a build step.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dynbuild import units
from dynbuild.errors import RequestError
from dynbuild.image_id import AWS
from dynbuild.plan.document import ImagePlan
from dynbuild.plan.matrix import Known, matches
from dynbuild.quick import dataclass
from dynbuild.settings import cell
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Test

_SECONDS = 120.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")
_TOOLS = {
    "nats": "nats-server --version",
    "etcd": "/usr/local/bin/etcd/etcd --version",
    "uv": "uv --version",
}
ENGINE = """\
names="$(sed 's/==.*//; s/[-_.][-_.]*/-/g; s/.*/^& /' /opt/dynamo/engine.txt | tr A-Z a-z)"
if python -m pip check | grep -Fvxf /opt/dynamo/engine-conflicts.txt | grep "$names"
then exit 1; fi
"""
"""Prints what the engine's packages miss that they did not miss in the vendor's image."""
_HAVE_TOOLS = ("dynamo_base", "runtime", "dev", "local-dev")
_HAVE_WHEELS = ("runtime", "frontend")
_HAVE_ENGINES = ("runtime",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTest:
    """A command that has to go well in an image.

    Attributes:
        name: What reports call it.
        argv: The command.
        user: Who runs it; empty for the image's own user.
        seconds: How long it may take.
        promised: Whether every image of its target is tested so; else the settings ask for it.
    """

    name: str
    argv: tuple[str, ...]
    user: str = ""
    seconds: float = _SECONDS
    promised: bool = False


def check(config: Settings, known: Known) -> None:
    """Raise where a test of the settings is none, or is for a cell that there is not.

    Args:
        config: The settings.
        known: The cells there are.

    Raises:
        RequestError: One is.
    """
    origin = str(config.origin("test"))
    seen = {"starts", "tools", "wheels", "engine"}
    for test in config.catalog.test:
        if not _NAME.fullmatch(test.name) or test.name in seen:
            raise RequestError(
                f"'{test.name}' is the name of another test"
                if test.name in seen
                else f"'{test.name}' cannot be the name of a test",
                origin=origin,
                hint="each [[test]] has a name of its own, of letters, digits, blanks and _.-",
            )
        if not test.command:
            raise RequestError(f"the test '{test.name}' has no command", origin=origin)
        _seconds(test, origin)
        seen.add(test.name)
        for glob in test.cells:
            if not known.has(glob):
                raise RequestError(
                    f"the test '{test.name}' is for the cell '{glob}', which there is not",
                    origin=origin,
                    hint=known.hint(glob),
                )


def of(image: ImagePlan, config: Settings) -> tuple[ImageTest, ...]:
    """The tests of *image*: what it promises, then those of the settings.

    Args:
        image: Of which image.
        config: Its settings, which ``check`` took.
    """
    return (*_promised(image, config), *_own(image, config))


def _promised(image: ImagePlan, config: Settings) -> Iterator[ImageTest]:
    """It starts, its tools answer, its wheels can be imported, its engine is as its vendor's."""
    target = image.target.removesuffix(AWS)
    yield ImageTest(name="starts", argv=("true",), promised=True)
    tools = config.catalog.tools
    said = [line for tool, line in _TOOLS.items() if tools[tool].kind != "none"]
    if target in _HAVE_TOOLS and said:
        yield ImageTest(name="tools", argv=("sh", "-ec", "\n".join(said)), promised=True)
    if target in _HAVE_WHEELS:
        yield ImageTest(
            name="wheels", argv=("python", "-c", "import dynamo.runtime"), promised=True
        )
    engine = cell.engine_of(config, image.framework, image.device)
    if target in _HAVE_ENGINES and engine in ("vendor", "complete"):
        yield ImageTest(name="engine", argv=("sh", "-ec", ENGINE), promised=True)


def _own(image: ImagePlan, config: Settings) -> Iterator[ImageTest]:
    origin = str(config.origin("test"))
    for test in config.catalog.test:
        if any(matches(glob, image.id) for glob in test.cells):
            yield ImageTest(
                name=test.name,
                argv=_argv(test),
                user=test.user,
                seconds=_seconds(test, origin),
            )


def _seconds(test: Test, origin: str) -> float:
    limit = units.parse_time(test.timeout, origin=f"{origin}: {test.name}: timeout")
    return limit.total_seconds()


def _argv(test: Test) -> tuple[str, ...]:
    command = test.command
    return ("sh", "-ec", command) if isinstance(command, str) else tuple(command)
