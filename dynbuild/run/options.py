"""The options of a run out of all layers: folded, each value with its origin, and checked.

    catalog  <  overlay  <  profile  <  environment  <  flag

Files among themselves replace, as everywhere.  From the profile on an option combines as its
declaration says (``dynbuild.settings.run_options``).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dynbuild import names, paths, units
from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass
from dynbuild.run import devices, gpus, grammars, limits, numa, ports, user
from dynbuild.run.request import Passed, RunRequest
from dynbuild.settings import layers, mounts, problems
from dynbuild.settings.layers import Layer, Setting
from dynbuild.settings.load import Settings
from dynbuild.settings.option import Form, Option
from dynbuild.settings.problems import Problem
from dynbuild.settings.run_options import SETTINGS

_GRAMMARS: Mapping[Form, Callable[[str], object]] = {
    "size": functools.partial(units.parse_size, base=units.BINARY),
    "number": limits.parse_processors,
    "gpus": gpus.parse,
    "port": ports.parse,
    "mount": mounts.parse,
    "limit": limits.parse_ulimit,
    "image": names.check_image,
    "user": user.parse,
    "group": user.parse_group,
    "variable": grammars.variable,
    "name": grammars.name,
    "word": grammars.word,
    "folder": grammars.folder,
    "label": grammars.label,
    "device": devices.parse,
    "host": grammars.host,
    "restart": grammars.restart,
    "long-mount": mounts.parse_long,
    "docker-argument": grammars.docker_argument,
    "nodes": numa.parse_wanted,
    "network": grammars.network,
    "ipc": grammars.ipc,
    "capability": grammars.capability,
    "security": grammars.security,
}
"""What reads, and so checks, the texts of each form."""

_MAY_BE_EMPTY = ("size", "number", "name", "nodes")
"""Forms of which an empty text says that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the layers say of a run.

    Attributes:
        settings: By option the values that count: one, or an item each of a list.
        profile: What the profile itself says, by option.
    """

    settings: Mapping[str, tuple[Setting, ...]]
    profile: Mapping[str, Setting]

    def optional(self, name: str) -> str | None:
        """The text of an option; ``None`` where no layer has one."""
        found = self.settings.get(name, ())
        return str(found[-1].value) if found else None

    def text(self, name: str) -> str:
        """The text of an option; empty where no layer has one."""
        return self.optional(name) or ""

    def items(self, name: str) -> tuple[str, ...]:
        """The items of a list, lowest layer first."""
        return tuple(str(setting.value) for setting in self.settings.get(name, ()))

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        found = self.settings.get(name, ())
        return bool(found) and found[-1].value is True

    def origin(self, name: str) -> str | None:
        """Where the value of an option came from."""
        found = self.settings.get(name, ())
        return str(found[-1].origin) if found else None


def resolve(settings: Settings, options: Sequence[Option] = SETTINGS) -> RunOptions:
    """The options as the layers of *settings* make them.

    Raises:
        RequestError: There is no such profile, or values that docker would refuse: all of
            them are told at once.
    """
    *below, environment, flags = settings.layers
    files = layers.resolve(below)
    profile = _profile(settings, files)
    found: dict[str, tuple[Setting, ...]] = {}
    wrong: list[Problem] = []
    for option in options:
        stack = (
            files.get(option.path),
            profile.get(option.name),
            environment.get(option.path),
            flags.get(option.path),
        )
        kept = []
        for setting in fold(option, [one for one in stack if one is not None]):
            try:
                kept.append(_checked(option, setting))
            except RequestError as error:
                wrong.append(
                    Problem(error.message, error.origin or str(setting.origin), error.hint)
                )
        if kept:
            found[option.name] = tuple(kept)
    if wrong:
        raise problems.as_error(wrong)
    return RunOptions(settings=found, profile=profile)


def _profile(settings: Settings, files: Layer) -> dict[str, Setting]:
    """What the chosen profile says, by the names of the options.

    Raises:
        RequestError: There is no such profile.
    """
    run = settings.catalog.run
    if run.profile is None:
        return {}
    if run.profile not in run.profiles:
        raise RequestError(
            f"there is no profile {quote(run.profile)}",
            origin=str(settings.origin("run", "profile")),
            hint=names.did_you_mean(run.profile, run.profiles)
            if run.profiles
            else f"make one: [run.profiles.{run.profile}] in dynbuild.toml",
        )
    own = ("run", "profiles", run.profile)
    return {path[3]: setting for path, setting in files.items() if path[:3] == own}


def fold(option: Option, stack: Sequence[Setting]) -> tuple[Setting, ...]:
    """The values of *option* that count, of those in *stack*, lowest layer first.

    The items of a list are a setting each, so that every item keeps its origin.
    """
    if option.kind != "list":
        return tuple(stack[-1:])
    items = [
        Setting(item, setting.origin)
        for setting in (stack[-1:] if option.merge == "replace" else stack)
        for item in setting.value
    ]
    if option.merge == "by-key":
        return tuple({str(item.value).partition("=")[0]: item for item in items}.values())
    return tuple(items)


def _checked(option: Option, setting: Setting) -> Setting:
    """*setting* if its text is of the form of *option*.

    ``~`` in a mount is replaced, and a file is an absolute path.
    """
    text = setting.value
    if not isinstance(text, str):
        return setting
    home = functools.partial(paths.with_home, origin=str(setting.origin))
    if option.form == "mount":
        text = mounts.with_source(text, home)
    elif option.form == "long-mount":
        text = mounts.with_source_long(text, home)
    if option.form == "file":
        return Setting(str(paths.local(text, origin=str(setting.origin))), setting.origin)
    if option.form and (text or option.form not in _MAY_BE_EMPTY):
        _GRAMMARS[option.form](text)
    return Setting(text, setting.origin)


# ---- the request -------------------------------------------------------------------------


def request(
    options: RunOptions,
    *,
    image: str,
    command: tuple[str, ...] = (),
    workspace: str | None = None,
    hf_home: str | None = None,
    hf_token: bool = False,
) -> RunRequest:
    """What to run and how.

    Args:
        options: What the layers say.
        image: The image to run.
        command: The words after the image.
        workspace: The tree to mount, if one is to be.
        hf_home: The Hugging Face cache to mount, if one is to be.
        hf_token: Whether the caller has HF_TOKEN.

    Raises:
        RequestError: ``--rm`` and ``--restart`` are both asked for.
    """
    return dataclasses.replace(
        _declared(options, image),
        command=command,
        workspace=workspace,
        hf_home=hf_home,
        hf_token=hf_token,
    )


def _declared(options: RunOptions, image: str) -> RunRequest:
    """What the options alone say of a run.

    Raises:
        RequestError: ``--rm`` and ``--restart`` are both asked for.
    """
    return RunRequest(
        image=image,
        gpus=options.text("gpus"),
        runtime=options.text("runtime"),
        network=options.text("network"),
        shm_size=options.text("shm_size"),
        rm=_removed(options),
        restart=options.text("restart"),
        interactive=options.switch("interactive"),
        tty=options.switch("tty"),
        detach=options.switch("detach"),
        privileged=options.switch("privileged"),
        env=options.items("env"),
        env_files=options.items("env_file"),
        labels=options.items("label"),
        docker_args=options.items("docker_arg"),
        devices=options.items("device"),
        volumes=options.items("volume"),
        long_mounts=options.items("mount"),
        hosts=options.items("add_host"),
        ports=options.items("port"),
        workdir=options.text("workdir"),
        user=options.optional("user"),
        name=options.optional("name"),
        entrypoint=options.optional("entrypoint"),
        nixl_gds=options.switch("use_nixl_gds"),
        gms=options.switch("gms"),
        ulimits=options.items("ulimit"),
        ipc=options.text("ipc"),
        cap_add=options.items("cap_add"),
        groups=options.items("group_add"),
        security_opts=options.items("security_opt"),
        memory=options.text("memory"),
        cpus=options.text("cpus"),
        passed=tuple(_passed(options)),
    )


def _removed(options: RunOptions) -> bool:
    """Whether the container goes at its end; one that is restarted does not.

    Raises:
        RequestError: Both are asked for.
    """
    if options.text("restart") in ("", "no") or not options.switch("rm"):
        return options.switch("rm")
    (setting,) = options.settings["rm"]
    if setting.origin.layer == "catalog":
        return False
    raise RequestError(
        f"--rm and --restart {options.text('restart')} exclude each other",
        origin=str(setting.origin),
        hint="--no-rm, or leave --restart out",
    )


def _passed(options: RunOptions) -> Iterator[Passed]:
    """The options that docker takes as they are."""
    for option in SETTINGS:
        if not option.docker or option.name not in options.settings:
            continue
        value: str | bool | tuple[str, ...] = options.text(option.name)
        if option.kind == "switch":
            value = options.switch(option.name)
        elif option.kind == "list":
            value = options.items(option.name)
        yield Passed(flag=option.docker, value=value, compose=option.compose, pod=option.pod)


def hf_home(options: RunOptions, env: Mapping[str, str], workspace: str | None) -> str | None:
    """The Hugging Face cache: flag or settings, then HF_HOME, then a folder of the workspace.

    ``none`` clears it.

    Raises:
        RequestError: It is no path, or the workspace has a link that leads elsewhere in its place.
    """
    chosen, origin = options.text("hf_home"), options.origin("hf_home")
    if not chosen:
        chosen, origin = env.get("HF_HOME", ""), "environment HF_HOME"
    if chosen.lower() == "none":
        return None
    if not chosen and workspace:
        own = Path(workspace, "container/.cache/huggingface")
        if paths.leads_out(own, Path(workspace)):
            raise RequestError(
                f"the Hugging Face cache {own} is outside of the tree, where a link leads",
                hint="--hf-home names the folder that you mean, --hf-home none goes without",
            )
        return str(own)
    if not chosen:
        return None
    return str(Path(paths.expanded(chosen, origin=origin)).absolute())
