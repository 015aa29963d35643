"""Plan and render every image of the default release line, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dynbuild.plan import make
from dynbuild.plan.machine import Machine
from dynbuild.plan.version import Version
from dynbuild.render.dockerfile import render
from dynbuild.settings import load
from dynbuild.settings.layers import Layer, Origin, Setting

VERSION = Version(tag="v1.0.0", python="1.0.0", commit="0" * 40, dirty=False, origin="bench")
COMPILED = Path.home() / ".cache" / "dynbuild" / "templates"


def requests() -> Iterator[Layer]:
    """The flags that ask for each image of the matrix."""
    catalog = load.load(templates=load.templates_dir(), overlays=(), env={}, flags={}).catalog
    for framework, entry in catalog.frameworks.items():
        for device, row in entry.devices.items():
            for cuda in row.cuda or ("",):
                for target in entry.targets:
                    said = {"framework": framework, "device": device, "target": target}
                    said |= {"cuda_version": cuda} if cuda else {}
                    yield {
                        ("request", name): Setting(value, Origin("flag", f"--{name}"))
                        for name, value in said.items()
                    }


def main() -> None:
    """Do it, and say how much it was."""
    templates = load.templates_dir()
    texts = set()
    for flags in requests():
        settings = load.load(templates=templates, overlays=(), env={}, flags=flags)
        job = make.make_plan(
            settings, version=VERSION, context=Path(), machine=Machine(uid=1000, gid=1000)
        )
        texts |= {render(image, templates, compiled=COMPILED) for image in job.images}
    print(f"{len(texts)} Dockerfiles")


if __name__ == "__main__":
    main()
