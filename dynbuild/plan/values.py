"""The values of a cell's arguments: those of the settings, and the simple decisions.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from dynbuild.addresses import secret_in
from dynbuild.errors import quote
from dynbuild.plan import kinds, stages
from dynbuild.plan.decision import Decision, Values
from dynbuild.plan.machine import Machine
from dynbuild.plan.matrix import Cell, Wheels
from dynbuild.plan.version import Version
from dynbuild.settings import environment, load
from dynbuild.settings.cell import same_cuda
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.load import Settings
from dynbuild.settings.models import PASSED_THROUGH, Argument, ArgumentKind
from dynbuild.settings.problems import Problem


def of(config: Settings, cell: Cell) -> Values:
    """Every argument as the settings have it for *cell*."""
    return load.args_of(config, cell.id.framework, cell.id.device, cell.id.cuda)


def of_wheels(wheels: Wheels) -> Decision:
    """The version of published wheels, where ``--dynamo-wheels`` gives one."""
    given = {"DYNAMO_VERSION": Setting(wheels.version, wheels.origin)} if wheels.version else {}
    return Decision("request", given)


_UNPUBLISHED = "ENABLE_GPU_MEMORY_SERVICE"
_NOT_PUBLISHED = Setting("false", Origin("derived", "there is no published wheel of it"))


def of_published(wheels: Wheels, values: Values) -> Decision:
    """What the catalog switches on and published wheels do not have is off with them.

    Somebody who asks for it is told that there is none (``recipe.of``).
    """
    off = wheels.way == "index" and values[_UNPUBLISHED].value == "true"
    return Decision("follow", {_UNPUBLISHED: _NOT_PUBLISHED} if off else {})


def left_out(values: Values, used: Collection[str]) -> list[str]:
    """The note that something is off because there is no published wheel of it."""
    if values[_UNPUBLISHED].origin != _NOT_PUBLISHED.origin or _UNPUBLISHED not in used:
        return []
    return ["the GPU memory service is left out: it has no published wheel"]


_DATE = "UV_EXCLUDE_NEWER"


def of_date(config: Settings, wheels: Wheels, machine: Machine, values: Values) -> Decision:
    """The line's own date says nothing of other versions, and much to an index without dates.

    uv leaves out each file whose date an index does not tell, as many that stand in for the
    public one do not.
    """
    reason = ""
    published, own = values["DYNAMO_VERSION"], config.lowest("args", "DYNAMO_VERSION")
    if values[_DATE].origin.layer != "catalog":
        pass  # whoever gives a date means it
    elif config.catalog.site.index_url or machine.index_url:
        reason = "the site's index may tell no dates"
    elif wheels.way == "index" and published.value != own:
        reason = f"DYNAMO_VERSION is not the line's own, {own}"
    none = {_DATE: Setting("", Origin("derived", reason))}
    return Decision("fix", none if reason else {})


def of_commit(version: Version) -> Decision:
    """The commit that images are labelled with."""
    return Decision("fill", {"DYNAMO_COMMIT_SHA": Setting(version.commit, version.commit_origin)})


def of_base(values: Values) -> Decision:
    """NVIDIA's PyTorch is the base of trtllm as well: given one of them, the other follows."""
    follows = {
        f"PYTORCH_{arg}": Setting(values[arg].value, Origin("derived", arg))
        for arg in stages.BASE
        if values[arg].origin.layer != "catalog"
        and values[f"PYTORCH_{arg}"].origin.layer == "catalog"
    }
    return Decision("fix", follows)


def of_switches(config: Settings, values: Values) -> Decision:
    """Switches in the one spelling that the templates' shells know."""
    spelled = {
        arg: Setting(str(values[arg].value).lower() or "false", values[arg].origin)
        for arg, declared in config.catalog.arguments.items()
        if declared.kind == "switch"
    }
    return Decision("fix", spelled)


def problems(
    config: Settings,
    cell: Cell,
    values: Values,
    used: Collection[str],
    arguments: Mapping[str, Argument],
) -> Iterator[Problem]:
    """What is wrong with values: with those of the cell, and with any that somebody wrote.

    Args:
        config: The settings.
        cell: What they are the values for.
        values: The values.
        used: The arguments that a stage of the cell uses.
        arguments: What each argument is.
    """
    written = [setting for setting in _written(config) if setting not in values.items()]
    fetched = {source.ref for source in config.catalog.sources.values() if source.kind == "git"}
    for arg, setting in (*values.items(), *written):
        if setting.origin.layer == "derived" or secret_in(str(setting.value)):
            continue  # said of the value that it is from, and by plan.credentials
        declared = arguments.get(arg) or _KNOWN.get(arg, _UNDECLARED)
        like = str(config.lowest("args", arg) or "")
        said = kinds.problem(arg, declared, setting, like)
        if said is None and (arg in used or setting.origin.layer != "catalog"):
            said = kinds.missing(arg, declared, setting, like)
        if said is None and arg in fetched:
            said = kinds.shortened(arg, setting)
        if said:
            yield said
    yield from _other_cuda(cell, values["CUDA_VERSION"])


def declarations(config: Settings) -> Mapping[str, Argument]:
    """What arguments are: as the catalog says, or as an overlay uses them.

    The version of a tool that comes from an image is the tag of that; the ref of a source that
    comes from a repository is a ref of that.
    """
    catalog = config.catalog
    used_as: dict[str, ArgumentKind] = {}
    for tool in catalog.tools.values():
        if tool.kind == "image":
            used_as[tool.version] = "tag"
    for name, source in catalog.sources.items():
        if source.kind == "git" and source.ref != config.lowest("sources", name, "ref"):
            used_as[source.ref] = "ref"
    changed = {
        arg: replace(catalog.arguments[arg], kind=kind)
        for arg, kind in used_as.items()
        if arg in catalog.arguments
    }
    return {**catalog.arguments, **changed}


_UNDECLARED = Argument(kind="text", help="", empty="empty")
"""What BuildKit knows by itself."""

_KNOWN: Mapping[str, Argument] = {
    environment.EPOCH: Argument(kind="int", help="", empty="none", noun="time in seconds"),
    **dict.fromkeys(
        ("BUILDKIT_MULTI_PLATFORM", "BUILDKIT_INLINE_CACHE"),
        # Another word fails the solve, or means nothing and is not told.
        Argument(
            kind="choice", help="", empty="", words=["true", "false", "True", "False", "1", "0"]
        ),
    ),
}
"""Of that, what has a form."""


def _written(config: Settings) -> Iterator[tuple[str, Setting]]:
    """The values that people wrote, in any scope; those of the highest layer that has one."""
    seen = set()
    for layer in reversed(config.layers[1:]):
        for path, setting in layer.items():
            scoped = path[0] == "frameworks" and ("args" in path[2:] or path[4:5] == ("cuda",))
            if (path[0] == "args" or scoped) and path not in seen:
                seen.add(path)
                yield path[-1], setting


def _other_cuda(cell: Cell, setting: Setting) -> Iterator[Problem]:
    """The CUDA version of the packages is that of the base images."""
    version, cuda = str(setting.value), cell.id.cuda
    if cuda and version and not same_cuda(version, cuda):
        yield Problem(
            f"CUDA_VERSION is {quote(version)}, but the base images have CUDA {cuda}",
            str(setting.origin),
            f"--cuda-version {'.'.join(version.split('.')[:2])} takes base images and all",
        )


def dated(values: Values) -> list[str]:
    """Warn of a date that the environment gives to all that is built."""
    setting = values.get(environment.EPOCH)
    if setting is None or setting.origin != Origin("environment", environment.EPOCH):
        return []
    return [
        f"{setting.origin} dates files and images; another value builds every step anew"
        f" (unset it, or DYNBUILD_ARG_{environment.EPOCH}= leaves it out)"
    ]


def unused(values: Values, used: Collection[str]) -> list[str]:
    """Warn of arguments that were set for this build and reach no stage of it."""
    return [
        f"{arg} ({setting.origin}) is used by no stage of this image"
        for arg, setting in values.items()
        if setting.origin.layer in ("flag", "environment")
        and arg not in used
        and arg not in PASSED_THROUGH
        and setting.origin.source not in environment.SCCACHE_VARIABLES
    ]
