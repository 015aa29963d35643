"""From a plan to the text of its Dockerfile.

Pure but for reading the templates, and their compiled code: the same plan gives the same
text. Each stage is one template; an undefined name is an error, and so is a template whose
``ARG`` lines differ from the stage table, since a forgotten one makes a build argument
silently empty.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import jinja2

from dynbuild import __version__
from dynbuild.errors import TemplateError
from dynbuild.plan.job import ImageJob
from dynbuild.plan.recipe import Recipe
from dynbuild.plan.stages import Stage
from dynbuild.render.compiled import Compiled

SUFFIX = ".Dockerfile.j2"

INTO = {
    "uv": "/opt/uv/bin/",
    "nats": "/usr/bin/",
    "etcd": "/usr/local/bin/etcd/",
    "sccache": "/opt/sccache/",
}
"""Where the files of a tool belong in an image (facts: contents of dynamo_base)."""

_AUTOMATIC = frozenset(
    {"TARGETARCH", "TARGETPLATFORM", "BUILDPLATFORM", "ARCH_OF_AMD64", "ARCH_ALT"}
)
_WIDTH = 88


def render(image: ImageJob, templates: Path, *, compiled: Path | None = None) -> str:
    """The Dockerfile of *image*.

    Args:
        image: What is rendered.
        templates: The folder of the templates.
        compiled: Where their code is kept; ``None`` keeps none.

    Raises:
        TemplateError: A template is missing, malformed, or disagrees with the stage table.
    """
    chain = image.stages
    _check_templates(chain, image, templates)
    environment = _environment(templates, compiled, site=image.recipe.site)
    texts = [_stage(stage, image, environment) for stage in chain]
    parts = [_header(image, chain), _arguments(image), *texts]
    return "\n".join(_tidy(part) for part in parts)


@functools.cache
def _environment(templates: Path, compiled: Path | None, *, site: bool) -> jinja2.Environment:
    """One for every image: templates are compiled once, and again when their file changes.

    Args:
        templates: The folder with the templates.
        compiled: The folder with their code, if any is kept.
        site: Whether steps run the site's script; macros see it as ``redirected``.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=Compiled(compiled) if compiled else None,
        autoescape=False,  # noqa: S701 - the output is a Dockerfile, not HTML
    )
    environment.globals["redirected"] = site
    return environment


def _check_templates(chain: Iterable[Stage], image: ImageJob, templates: Path) -> None:
    for stage in chain:
        if not (templates / f"{stage.template}{SUFFIX}").is_file():
            raise TemplateError(
                f"the stage '{stage.name}' of {image.name} has no template",
                origin=str(templates / f"{stage.template}{SUFFIX}"),
                hint="a folder given with --templates needs all templates of dynbuild's own",
            )


def _stage(stage: Stage, image: ImageJob, environment: jinja2.Environment) -> str:
    recipe = image.recipe
    try:
        text = environment.get_template(f"{stage.template}{SUFFIX}").render(
            recipe=recipe,
            stage=stage,
            subject=stage.subject,
            tool=recipe.tools.get(stage.subject),
            source=recipe.sources.get(stage.subject),
            into=INTO,
        )
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(
            f"the template of the stage '{stage.name}' is malformed: {error.message}",
            origin=f"{error.filename or stage.template}:{error.lineno}",
        ) from error
    except Exception as error:
        # A template is code: what its author gets wrong may be any of Python's errors.
        raise TemplateError(
            f"the template of the stage '{stage.name}' cannot be rendered: {error}",
            origin=f"{stage.template}{SUFFIX}",
        ) from error
    _check_arguments(stage, recipe, text)
    return f"{_banner(stage.name)}\n{text}"


def _check_arguments(stage: Stage, recipe: Recipe, text: str) -> None:
    """Each argument of *stage* is in its *text*: by ARG, or to one that is unkeyed by its secret.

    Raises:
        TemplateError: One is not, or is there in the other way, or another one is there.
    """
    declared = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    declared |= set(re.findall(r"\$\{(\w+)\}", "\n".join(re.findall(r"^FROM .*", text, re.M))))
    declared -= _AUTOMATIC
    mounted = set(re.findall(r"--mount=type=secret,id=(\w+),env=\1\b", text)) & recipe.unkeyed
    keyed = set(stage.args) - recipe.unkeyed
    unkeyed = set(stage.args) & recipe.unkeyed
    wrong = {
        "without an ARG line": keyed - declared,
        "with one but not in dynbuild/plan/stages.py": declared - keyed - recipe.unkeyed,
        "with one, which would be in the cache key": declared & recipe.unkeyed,
        "without m.unkeyed()": unkeyed - mounted,
        "with it but not in dynbuild/plan/stages.py": mounted
        - unkeyed
        - {*recipe.compile_cache_place},
    }
    if any(wrong.values()):
        raise TemplateError(
            f"the stage '{stage.name}' and its template disagree on arguments",
            origin=f"{stage.template}{SUFFIX}",
            hint="; ".join(
                f"{what}: {', '.join(sorted(names))}" for what, names in wrong.items() if names
            ),
        )


def _banner(title: str) -> str:
    return f"# ==== {title} ".ljust(_WIDTH, "=")


def _header(job: ImageJob, chain: Iterable[Stage]) -> str:
    recipe, image = job.recipe, job.plan
    made = [
        "dynbuild render",
        f"--framework {image.framework}",
        f"--target {image.target}",
        f"--device {image.device}",
    ]
    if image.cuda_version:
        made.append(f"--cuda-version {image.cuda_version}")
    if image.release_line in image.variant.split("+"):
        made.append(f"--release-line {image.release_line}")
    if not recipe.from_source:
        made.append("--dynamo-wheels index")
    order = textwrap.wrap(
        " -> ".join(stage.name for stage in chain), _WIDTH - 4, break_on_hyphens=False
    )
    lines = [
        f"{image.name}: rendered by dynbuild {__version__}. Edit the templates, not this file.",
        "",
        *textwrap.wrap(" ".join(made), _WIDTH - 4, break_on_hyphens=False),
        "",
        "Stages, each after those it needs:",
        "",
        *(f"  {line}" for line in order),
    ]
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _arguments(job: ImageJob) -> str:
    lines = [
        _banner("arguments"),
        "# A stage sees an argument only where it declares it again.",
    ]
    for name, value in job.plan.keyed_args.items():
        lines.append(f"ARG {name}={quote('' if name in job.recipe.per_build else value)}")
    return "\n".join(lines)


def quote(value: str) -> str:
    r"""*value* as the right-hand side of ``ARG NAME=``, whatever it holds.

    Inside double quotes a Dockerfile takes ``\``, ``"`` and ``$`` only when escaped.
    """
    if re.fullmatch(r"[\w./:@+=,~-]*", value, re.ASCII):
        return value
    escaped = re.sub(r'([\\"$])', r"\\\1", value)
    return f'"{escaped}"'


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"
