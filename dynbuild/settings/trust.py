"""What the settings file of a source tree may say by itself, and what it is asked for.

``dynbuild.toml`` of a context is taken without anybody naming it, so it is only trusted with what
builds the tree's own image and runs it as dynbuild runs any.  A setting that reaches further is
asked for.  What is not known here to be harmless reaches further: a setting that comes later is
on the safe side before anybody thinks of it.

Files that a caller names (``--config``), variables and flags are the caller's own words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dynbuild import names, paths
from dynbuild.errors import RequestError
from dynbuild.quick import dataclass
from dynbuild.settings import files, layers, mounts
from dynbuild.settings.layers import KeyPath, Origin, Setting
from dynbuild.settings.load import Settings

_MAKEFILE = "deploy/inference-gateway/epp/Makefile"
_WHEEL_SCRIPT = "container/build_trtllm_wheel.sh"

_CACHE_ARGS = re.compile("SCCACHE_.+")
_FETCHED = ("contexts.", "sources.", "mirrors.", "tools.")
"""Tables with addresses that are fetched."""

_FREE = (
    *("format", "mirrors", "tools", "args", "frameworks", "tensorrt_llm"),
    *("request.release_line", "request.framework", "request.target", "request.device"),
    *("request.cuda_version", "request.platform", "request.tag_latest", "request.make_efa"),
    *("request.dynamo_wheels", "request.no_cache", "request.uid", "request.gid"),
    *("request.repository", "request.tag", "request.tag_template", "request.require_clean"),
    *("request.sccache_read_only", "request.sccache_optional"),
    *("request.tensorrtllm_commit", "request.tensorrtllm_pip_wheel"),
    "request.tensorrtllm_index_url",
    *("site.index_url", "site.apt_mirror", "site.dnf_mirror", "site.crates_index"),
    *("run.profile", "run.rm", "run.name", "run.entrypoint", "run.workdir", "run.user"),
    *("run.gpus", "run.numa", "run.shm_size", "run.ulimit", "run.memory", "run.cpus"),
    *("run.init", "run.label", "run.interactive", "run.tty", "run.detach", "run.add_host"),
    *("matrix", "test"),
)
"""Settings, and tables of them, that say what is in the tree's image and what runs in a container.

Versions, addresses and checksums decide what its own build takes; nothing else is reached.
"""

_HARMLESS = {
    "request.network": ("default",),
    "request.output": ("load", "none"),
    "request.use_sccache": ("local",),
    "run.network": ("host", "bridge", "none", "default"),
    "run.restart": ("no",),
    "run.ipc": ("host", "private", "shareable", "none"),
    "run.runtime": ("nvidia", "none"),
    "run.hf_home": ("none",),
}
"""Values that give nothing more than every build and every run has."""

_RIGHTS = {
    "request.network": "build steps get this machine's network",
    "request.output": "images are pushed to a registry",
    "request.retag": "a tag of another image is pushed over",
    "request.build_epp": f"make runs {_MAKEFILE} of the tree on this machine",
    "request.tensorrtllm_git_url": f"{_WHEEL_SCRIPT} of the tree runs on this machine",
    "request.cache": "a cache that other builds share is read or written",
    "request.cache_from": "a cache that other builds share is read",
    "request.cache_to": "a cache is written",
    "request.use_sccache": "build steps get your AWS credentials",
    "site.netrc": "build steps get a file of logins",
    "run.privileged": "the container gets all privileges on this machine",
    "run.cap_add": "the container gets a capability",
    "run.network": "the container joins another network",
    "run.ipc": "the container joins the memory of another",
    "run.mount_workspace": "the container gets /tmp and /mnt of this machine",
    "run.use_nixl_gds": "the container gets IPC_LOCK and devices of this machine",
    "run.gms": "the container gets /tmp of this machine",
    "run.env": "the container gets a variable of yours",
    "run.device": "the container gets a device of this machine",
    "run.mount": "the container gets a folder or a volume of this machine",
    "run.env_file": "the container gets the variables of a file of this machine",
    "run.security_opt": "the container's confinement is another",
    "run.group_add": "the container gets another group",
    "run.docker_arg": "docker gets a word of the tree's own",
    "run.restart": "the container starts again by itself",
    "run.port": "a port of this machine is opened",
    "run.image": "another image runs with what a run gives",
}
"""What is given away, in words."""

_RUNS = {"request.build_epp": _MAKEFILE, "request.tensorrtllm_git_url": _WHEEL_SCRIPT}
"""What of the tree a setting lets run on the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """A setting of a tree's own file that reaches further than its build.

    Attributes:
        setting: Its name, ``run.cap_add``.
        value: What it says, or the item of a list that does.
        right: What it gives, in words.
        origin: Where it stands.
        runs: SHA-256 of what it runs on this machine, if it runs anything.
    """

    setting: str
    value: str
    right: str
    origin: Origin
    runs: str = ""

    def __str__(self) -> str:
        said = "" if self.value == "true" else f" = {self.value}"
        return f"{self.origin.location}: {self.setting}{said}: {self.right}"

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What a consent to it is for, wherever in the file it stands."""
        return self.setting, self.value, self.right, self.runs


def of_file(settings: Settings) -> tuple[Widening, ...]:
    """All that the tree's own file of *settings* asks for, whichever command it is for."""
    if settings.tree_file is None:
        return ()
    found: list[Widening] = []
    for path, setting in files.read(settings.tree_file, "overlay").items():
        found += _judged(_name(path), setting, settings)
    return tuple(found)


def of_build(settings: Settings, *, cache: bool = False) -> tuple[Widening, ...]:
    """What the tree's own file asks for in a build with *settings*.

    Args:
        settings: The settings of the build.
        cache: Whether the compile cache in S3 is asked for in any case.
    """
    if settings.tree_file is None:
        return ()
    request = settings.catalog.request
    cache = cache or request.use_sccache == "s3" or request.cache.startswith("s3")
    own = str(settings.tree_file)
    found: list[Widening] = []
    for path, setting in layers.resolve(settings.layers).items():
        if setting.origin.source != own or path[0] in ("run", "matrix"):
            continue
        name = _name(path)
        found += _judged(name, setting, settings)
        if cache and _CACHE_ARGS.fullmatch(path[-1]):
            right = "your AWS credentials are used there"
            found.append(_widening(name, setting.value, right, setting.origin))
        if name in ("request.repository", "request.tag") and request.output == "push":
            found.append(_widening(name, setting.value, "images are pushed there", setting.origin))
    return tuple(found)


def of_run(settings: Settings, options: Mapping[str, Iterable[Setting]]) -> tuple[Widening, ...]:
    """What the tree's own file asks for in a run.

    Args:
        settings: The settings of the run.
        options: The values that count, by option, with their origins.
    """
    if settings.tree_file is None:
        return ()
    own = str(settings.tree_file)
    found: list[Widening] = []
    for name, values in options.items():
        for setting in values:
            if setting.origin.source == own:
                found += _judged(f"run.{name}", setting, settings)
    return tuple(found)


def _name(path: KeyPath) -> str:
    """The name of a setting; one of a profile, or of a matrix's cells, is called as outside."""
    if path[:1] == ("matrix",) and path[2:3] == ("cells",) and len(path) > 4:
        path = path[4:]
    if path[:2] == ("run", "profiles") and len(path) > 3:
        path = ("run", *path[3:])
    return ".".join(path)


def _judged(name: str, setting: Setting, settings: Settings) -> Iterator[Widening]:
    """What a setting gives away: nothing, or one thing for each item of a list that does."""
    items = setting.value if isinstance(setting.value, list) else [setting.value]
    lowest = settings.lowest(*name.split("."))
    tree = settings.tree_file.parent if settings.tree_file else Path()
    for item in items:
        if item in (lowest, "", None, False) or item in _HARMLESS.get(name, ()):
            continue
        if right := _right(name, item, tree):
            runs = _digest(tree / _RUNS[name]) if name in _RUNS else ""
            yield _widening(name, item, right, setting.origin, runs)


def _right(name: str, value: Any, tree: Path) -> str:
    """What *value* of a setting gives away; empty for nothing."""
    if name.startswith(_FETCHED) and names.needs_ssh(str(value)):
        return "your SSH agent is asked for keys"
    for settings, judge in _JUDGES:
        if settings.fullmatch(name):
            return judge(str(value), tree)
    if any(name == free or name.startswith(f"{free}.") for free in _FREE):
        return ""
    return _RIGHTS.get(name, "it gives more than every run and every build has")


def _of_address(value: str, tree: Path) -> str:
    scheme = re.match(r"([A-Za-z][\w+.-]*):", value)
    if re.match(r"(?:docker-image|https?|git)://", value):
        return ""
    if scheme:
        return f"{scheme[1]} reaches further than an image or a repository"
    return _outside(value, tree)


def _of_mount(value: str, tree: Path) -> str:
    try:
        mount = mounts.parse(mounts.with_source(value, paths.with_home))
    except RequestError:
        return "docker may mount anything that it reads there"
    if not mount.source:
        return ""
    if not mount.is_path:
        return "the container gets a volume that others may have"
    right = _outside(mount.source, tree)
    if right and mount.source.rstrip("/").endswith("docker.sock"):
        return "the container gets the engine, and by it all of this machine"
    return right


def _outside(value: str, tree: Path) -> str:
    """What a path gives that leads out of *tree*, through links too; empty if it does not."""
    try:
        path = paths.expanded(value)
        if not paths.leads_out(path, tree):
            return ""
        end = path.resolve()
        if end.is_relative_to(tree.resolve()):
            return f"the way to {end} leaves the tree"
        return f"{end} is outside of the tree"
    except (OSError, RuntimeError, RequestError):
        return "a path that leads nowhere"


def _of_variable(value: str, tree: Path) -> str:
    del tree
    # A token for Hugging Face is in every run.
    return "" if "=" in value or value == "HF_TOKEN" else _RIGHTS["run.env"]


def _of_port(value: str, tree: Path) -> str:
    del tree
    loopback = re.match(r"(127\.[\d.]+|\[::1\]|localhost):", value)
    return "" if loopback else _RIGHTS["run.port"]


def _of_login(value: str, tree: Path) -> str:
    """Who gets what; the value itself is masked where it is shown, as its name is a secret's."""
    del tree
    host, _, variable = value.partition("=")
    if re.fullmatch(r"[\w.-]+(:\d+)?", host) and re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable):
        return f"{host} gets what your variable {variable} holds"
    return "a host gets a token of yours"


def _nothing(value: str, tree: Path) -> str:
    del value, tree
    return ""


_JUDGES: tuple[tuple[re.Pattern[str], Callable[[str, Path], str]], ...] = (
    (re.compile(r"request\.tensorrtllm_pip_wheel_dir|site\.(ca_bundle|meson_packages)"), _outside),
    (re.compile(r"(?s)run\.hf_home|sources\..+\.path"), _outside),
    (re.compile(r"(?s)contexts\..+|sources\..+\.(repo|url)"), _of_address),
    (re.compile(r"(?s)sources\..+\.(kind|ref|sha256|package|suite|packages)"), _nothing),
    (re.compile(r"run\.volume"), _of_mount),
    (re.compile(r"run\.env"), _of_variable),
    (re.compile(r"run\.port"), _of_port),
    (re.compile(r"site\.git_auth_(token|header)"), _of_login),
)
"""Settings of which the value decides."""


def _widening(name: str, value: Any, right: str, origin: Origin, runs: str = "") -> Widening:
    shown = "true" if value is True else str(value)
    return Widening(setting=name, value=shown, right=right, origin=origin, runs=runs)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(paths.content(path)).hexdigest()
    except OSError:
        return "none"
