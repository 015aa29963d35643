"""What is run in an image before its tags move: the settings' ``[[test]]``, and what it promises.

A command runs in a container of the image alone, without a network and without anything of this
machine: a source tree's own file may ask for it as it may ask for a build step.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dynbuild import names, units
from dynbuild.errors import RequestError
from dynbuild.image_id import AWS, ImageId
from dynbuild.plan import matrix
from dynbuild.plan.document import ImagePlan
from dynbuild.quick import dataclass
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Test

_SECONDS = 120.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")
_TOOLS = {
    "nats": "nats-server --version",
    "etcd": "/usr/local/bin/etcd/etcd --version",
    "uv": "uv --version",
}
_HAVE_TOOLS = ("dynamo_base", "runtime", "dev", "local-dev")
_HAVE_WHEELS = ("runtime", "frontend")


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


class Cells:
    """The cells that a test may be for: those of all settings, told when a glob means no image."""

    def __init__(self, configs: Sequence[Settings]) -> None:
        self._configs = configs

    def check(self, test: Test, glob: str, origin: str) -> None:
        """Raise where *glob* of *test* means none.

        Raises:
            RequestError: It does.
        """
        known = [one for config in self._configs for one in matrix.every(config)]
        if not any(_means(glob, one) for one in known):
            raise RequestError(
                f"the test '{test.name}' is for the cell '{glob}', which there is not",
                origin=origin,
                hint=names.did_you_mean(glob, map(str, known), "`dynbuild list`"),
            )


def of(image: ImagePlan, config: Settings, cells: Cells) -> tuple[ImageTest, ...]:
    """The tests of *image*: what it promises, then those of the settings.

    Args:
        image: Of which image.
        config: Its settings.
        cells: The cells there are.

    Raises:
        RequestError: One of the settings is wrong.
    """
    return (*_promised(image, config), *_own(image, config, cells))


def _means(glob: str, one: ImageId) -> bool:
    return one.matches(glob) or matrix.without_wheels(one).matches(glob)


def _promised(image: ImagePlan, config: Settings) -> Iterator[ImageTest]:
    """It starts, its tools answer with their versions, its wheels can be imported."""
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


def _own(image: ImagePlan, config: Settings, cells: Cells) -> Iterator[ImageTest]:
    origin = str(config.origin("test"))
    seen = {"starts", "tools", "wheels"}
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
        seen.add(test.name)
        meant = [glob for glob in test.cells if _means(glob, image.id)]
        for glob in test.cells:
            if glob not in meant:
                cells.check(test, glob, origin)
        if meant:
            limit = units.parse_time(test.timeout, origin=f"{origin}: {test.name}: timeout")
            yield ImageTest(
                name=test.name,
                argv=_argv(test),
                user=test.user,
                seconds=limit.total_seconds(),
            )


def _argv(test: Test) -> tuple[str, ...]:
    command = test.command
    return ("sh", "-ec", command) if isinstance(command, str) else tuple(command)
