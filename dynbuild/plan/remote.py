"""Every remote place that the build of an image contacts, and who named it.  Pure.

The places are read off the rendered Dockerfile, so that no stage can be forgotten: references
of images, downloads, and in each step the programs that are known to go to the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dynbuild import names
from dynbuild.addresses import public
from dynbuild.plan import mirrors
from dynbuild.plan.document import LINK, ImagePlan, Place
from dynbuild.plan.job import ImageJob, Job
from dynbuild.settings.layers import Origin

SUBPROJECTS = ("abseil-cpp", "asio", "prometheus-cpp", "taskflow")
"""What NIXL has Meson fetch while it is configured (facts: wheel_builder, components)."""

SCRIPTS = {
    "install_deepgemm.sh": ("https://github.com",),
    "install_python_libraries.sh": ("https://github.com", "https://developer.download.nvidia.com"),
    "install_tensorrt.sh": (
        "https://developer.download.nvidia.com",
        "https://developer.nvidia.com",
    ),
}
"""Where scripts of other projects download from, by their file name."""

SUBMODULES = {"aws_sdk_cpp": "https://github.com/awslabs"}
"""Sources whose git submodules BuildKit fetches as well, from the address they name."""

_APT = re.compile(
    r"\bapt(?:-get)?\s+(?:-\S+\s+(?:\S+=\S+\s+)?)*(?:update|install|upgrade|source)\b"
    r"|efa_installer"
)
_DNF = re.compile(r"\bdnf\s+(?:-\S+\s+)*install\b")
_PYTHON = re.compile(r"\buv (?:pip install|build|sync)\b|\bpip (?:install|download|wheel)\b")
_CRATES = re.compile(r"\b(?:maturin build|cargo (?:build|fetch|install))\b")
_MESON = re.compile(r"\bmeson setup\b")

_PPA = "ppa:"
"""How a repository of packages at Launchpad is named, whose key comes from there too."""

_KEYS = {
    "apt": "[site] apt_mirror",
    "dnf": "[site] dnf_mirror",
    "python": "[site] index_url",
    "crates": "[site] crates_index",
    "meson": "[site] meson_packages",
    "submodules": "[sources.aws_sdk_cpp] kind and url",
    "command": "--epp-image, or a TensorRT-LLM wheel that is there",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a stage that is part of the build, with the places it contacts."""

    stage: str
    text: str
    places: tuple[Place, ...]


@dataclass(slots=True)
class _Stage:
    name: str
    base: str
    steps: list[str] = field(default_factory=list)


def of_job(job: Job, dockerfiles: Mapping[str, str]) -> tuple[Place, ...]:
    """The places of every image of *job*, and of the commands that run before the solve.

    Args:
        job: What would be built.
        dockerfiles: The rendered Dockerfile of each image, by the image's name.
    """
    before = [
        Place(image="", stage="", kind="command", address=" ".join(step.argv), covered_by="")
        for step in job.plan.before
    ]
    after = [
        replace(place, image=image.name)
        for image in job.images
        for place in places(image, dockerfiles[image.name])
    ]
    return (*before, *after)


def places(image: ImageJob, dockerfile: str) -> tuple[Place, ...]:
    """The places that the build of *image* contacts, each once a stage, in the file's order."""
    found = [place for step in steps(image, dockerfile) for place in step.places]
    return (*dict.fromkeys((*found, *_around(image))),)


def steps(image: ImageJob, dockerfile: str) -> tuple[Step, ...]:
    """Every instruction that the build of *image* carries out, with its places."""
    stages = {stage.name: stage for stage in _parse(dockerfile)}
    reader = _Reader(image, stages)
    reached = reader.reached
    return tuple(step for name in stages if name in reached for step in reader.steps(name))


def uncovered(found: Iterable[Place]) -> tuple[Place, ...]:
    """Those of the places that are still the catalog's public ones."""
    return tuple(place for place in found if not place.covered_by)


def keys(found: Iterable[Place]) -> tuple[str, ...]:
    """The settings that would cover those places, each once."""
    return tuple(dict.fromkeys(_key(place) for place in found))


def _key(place: Place) -> str:
    if place.kind in _KEYS:
        return _KEYS[place.kind]
    if place.kind == "image":
        return f'[mirrors] "{mirrors.qualified(place.address).partition("/")[0]}"'
    if place.address.startswith(_PPA):
        return "[args] INTEL_GPU_PPA"
    host = re.match(r"\w+://[^/]+", place.address)
    return f'[mirrors] "{host[0] if host else place.address}"'


def _around(job: ImageJob) -> Iterator[Place]:
    """What the request itself names: caches and the registry that is pushed to."""
    image = job.plan
    for kind, addresses in (("cache", (*image.cache_from, *image.cache_to)), ("push", image.tags)):
        if kind == "cache" or image.output == "push":
            for address in addresses:
                yield Place(stage="", kind=kind, address=address, covered_by="request")


@dataclass(frozen=True, slots=True)
class _Reader:
    """One image's Dockerfile, looked at with the image's values."""

    job: ImageJob
    stages: Mapping[str, _Stage]

    @property
    def image(self) -> ImagePlan:
        return self.job.plan

    @property
    def reached(self) -> frozenset[str]:
        """The stages that are built: not those for other platforms, nor replaced ones."""
        found: set[str] = set()
        left = [self.image.stage]
        while left:
            name = left.pop()
            if name in found or name not in self.stages:
                continue
            found.add(name)
            if name not in self.image.contexts:
                stage = self.stages[name]
                left += self.filled(stage.base)
                left += [other for text in stage.steps for other in _copied_from(text)]
        return frozenset(found)

    def filled(self, text: str) -> list[str]:
        """*text* with arguments filled in, for each of the image's architectures."""
        found = []
        for platform in self.image.platforms:
            values = self.image.build_args | {"TARGETARCH": names.architecture(platform)}
            found.append(re.sub(r"\$\{?(\w+)\}?", lambda m: values.get(m[1], m[0]), text))  # noqa: B023
        return list(dict.fromkeys(found))

    def steps(self, name: str) -> Iterator[Step]:
        stage = self.stages[name]
        if name in self.image.contexts:
            yield Step(name, name, tuple(self.context(name, name)))
            return
        first = [place for text in self.filled(stage.base) for place in self.base(stage, text)]
        yield Step(name, f"FROM {stage.base}", tuple(first))
        for text in stage.steps:
            word = text.split(None, 1)[0].upper()
            if word == "RUN":
                found = self.run(stage, text)
            elif word == "ADD":
                found = self.add(stage, text)
            else:
                found = iter(())
            images = (
                place
                for other in _copied_from(text)
                for place in self.base(replace(stage, base=other), other)
            )
            yield Step(name, text, (*found, *images))

    def context(self, stage: str, name: str) -> Iterator[Place]:
        """The place of the build context *name*; none for a folder or another image."""
        where = self.image.contexts[name]
        if where.startswith(LINK) or not names.is_address(where):
            return
        kind, address = "context", public(where)
        if where.startswith("docker-image://"):
            kind, address = "image", where.removeprefix("docker-image://")
        if address.startswith(mirrors.LOCAL):
            return
        yield Place(stage=stage, kind=kind, address=address, covered_by=f"context {name}")

    def base(self, stage: _Stage, text: str) -> Iterator[Place]:
        """The place of an image that a stage starts or copies from."""
        if text in self.stages or text == "scratch":
            return
        if name := self.context_of(text):
            yield from self.context(stage.name, name)
            return
        if text.startswith(mirrors.LOCAL):
            covered = "machine, made by engine base"
        else:
            covered = _said(self.origin(names.split_reference(stage.base)[0]))
        yield Place(stage=stage.name, kind="image", address=text, covered_by=covered)

    def context_of(self, reference: str) -> str:
        """The build context that stands for an image, by its short or its full name."""
        full = mirrors.qualified(reference)
        known = self.image.contexts
        return next((name for name in known if mirrors.qualified(name) == full), "")

    def add(self, stage: _Stage, text: str) -> Iterator[Place]:
        for word in text.split()[1:-1]:
            if word.startswith("--"):
                continue
            for address in self.filled(word):
                if not names.is_address(address):
                    continue
                plain = word.partition("#")[0]
                git = plain != word or plain.endswith(".git")
                origin = self.origin(plain)
                covered = _said(origin)
                kind = "git" if git else "download"
                yield Place(stage=stage.name, kind=kind, address=address, covered_by=covered)
                if git and (other := SUBMODULES.get(stage.name.removesuffix("_src"))):
                    # BuildKit's git follows no mirror; a repository given by name is the
                    # site's, and so are its submodules.
                    own = "" if origin.mirror else covered
                    yield Place(stage=stage.name, kind="submodules", address=other, covered_by=own)

    def run(self, stage: _Stage, text: str) -> Iterator[Place]:
        def place(kind: str, address: str, covered_by: str) -> Place:
            return Place(stage=stage.name, kind=kind, address=address, covered_by=covered_by)

        for arg in dict.fromkeys(re.findall(r"\$\{(\w+)", text)):
            value = self.image.build_args.get(arg, "")
            if "://" in value or value.startswith(_PPA):
                found, covered = self.redirected(value)
                own = _said(self.origin(f"${{{arg}}}"))
                yield place("download", value if own else found, own or covered)
        for script, addresses in SCRIPTS.items():
            if re.search(rf"\b(?:bash|sh) \S*{re.escape(script)}", text):
                for address in addresses:
                    yield place("download", *self.redirected(address))
        if _APT.search(text) or "install_tensorrt.sh" in text:
            yield place("apt", *self.apt(stage))
        if _DNF.search(text):
            default = f"package sources of {self.root(stage)}"
            yield place("dnf", *self.site("dnf_mirror", default))
        if "id=index_url" in text or _PYTHON.search(text):
            machine = "machine, pip's configuration" if "index_url" in self.image.secrets else ""
            index = self.site("index_url", "Python package index")
            yield place("python", index[0], index[1] or machine)
        if _CRATES.search(text):
            yield place("crates", *self.site("crates_index", "cargo's default registry"))
        if _MESON.search(text):
            folder = self.site("meson_packages", "")[1]
            for project in SUBPROJECTS:
                yield place("meson", f"subproject {project}", folder)
        if "id=aws-key-id" in text:
            args = self.image.build_args
            bucket = f"bucket {args.get('SCCACHE_BUCKET', '')}"
            endpoint = args.get("SCCACHE_ENDPOINT", "")
            yield place(
                "compile cache", endpoint or bucket, _said(self.origin("${SCCACHE_BUCKET}"))
            )

    def apt(self, stage: _Stage) -> tuple[str, str]:
        root = self.root(stage)
        address, covered = self.site("apt_mirror", f"package sources of {root}")
        local = root.startswith(mirrors.LOCAL)
        return address, covered or ("machine, apt's configuration" if local else "")

    def site(self, field: str, default: str) -> tuple[str, str]:
        """A setting of ``[site]`` and its origin, else *default* and none."""
        value, origin = self.job.reach.site.get(field, (default, _PUBLIC))
        return value, _said(origin)

    def root(self, stage: _Stage) -> str:
        """The image that a chain of stages starts from."""
        text = self.filled(stage.base)[0]
        if text in self.stages and text not in self.image.contexts:
            return self.root(self.stages[text])
        where = self.image.contexts.get(self.context_of(text) or text, text)
        return where.removeprefix("docker-image://")

    def redirected(self, address: str) -> tuple[str, str]:
        """Where the script of a step leads *address*, and who says so."""
        table = self.job.reach.table
        found, prefix = mirrors.address(address, table)
        if not prefix:
            return address, ""
        return found, str(replace(table[prefix].origin, mirror=prefix))

    def origin(self, text: str) -> Origin:
        """Who named the address *text*, as the Dockerfile has it."""
        arg = re.match(r"\$\{(\w+)\}", text)
        if arg is None:
            return self.job.reach.addresses.get(text, _PUBLIC)
        if arg[1] in mirrors.KEPT and self.redirected(self.image.build_args[arg[1]])[1]:
            return _PUBLIC
        origin = self.image.set_by.get(arg[1], _PUBLIC)
        return self.job.reach.release_image if origin.layer == "derived" else origin


_PUBLIC = Origin("catalog", "")


def _said(origin: Origin) -> str:
    """Who covers a place; nobody, where it is the catalog's public one."""
    return "" if origin.layer == "catalog" else str(origin)


def _copied_from(text: str) -> list[str]:
    """Stages and images in ``--from=`` and in the mounts of an instruction."""
    found = re.findall(r"--from=(\S+)", text)
    for mount in re.findall(r"--mount=(\S+)", text):
        found += re.findall(r"(?:^|,)from=([^,\s]+)", mount)
    return found


def _parse(dockerfile: str) -> list[_Stage]:
    """The stages with their instructions, each on one line; texts in a heredoc are left out."""
    stages: list[_Stage] = []
    lines = iter(dockerfile.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [line]
        while parts[-1].rstrip().endswith("\\"):
            parts[-1] = parts[-1].rstrip()[:-1]
            parts.append(next((one for one in lines if not one.lstrip().startswith("#")), ""))
        text = " ".join(part.strip() for part in parts)
        if here := re.search(r"<<-?['\"]?(\w+)['\"]?", text):
            for body in lines:
                if body.strip() == here[1]:
                    break
        if start := re.match(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", text, re.IGNORECASE):
            stages.append(_Stage(start[2] or str(len(stages)), start[1]))
        elif stages:
            stages[-1].steps.append(text)
    return stages
