"""From a plan to the bake definition and the command that runs it.  Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dynbuild.addresses import variables_of
from dynbuild.image_id import ImageId
from dynbuild.plan.document import LINK, ImagePlan, PlanDocument
from dynbuild.plan.job import ImageJob, Job

# The definition is dynbuild's own: it reads the files that the plan names, wherever they
# are, without bake asking about each folder outside of the current one.
ENVIRONMENT = {"BUILDX_BAKE_ENTITLEMENTS_FS": "0", "BUILDX_METADATA_PROVENANCE": "min"}
"""Variables that the command needs."""

_SAYING_WHAT = (
    "SOURCE_DATE_EPOCH", "BUILDX_GIT_LABELS", "BUILDX_NO_DEFAULT_ATTESTATIONS",
    "BUILDX_METADATA_WARNINGS", "BUILDKIT_SYNTAX", "BUILDKIT_MULTI_PLATFORM",
)  # fmt: skip

_HOLDER = "DYNBUILD_VALUE_"

_OUTPUT = {"load": "type=docker", "push": "type=registry", "none": "type=cacheonly"}
_PACKING = {
    ("load", "none"): ",compression=uncompressed",
    ("push", "none"): ",compression=uncompressed",
    ("push", "zstd"): ",compression=zstd,oci-mediatypes=true",
}
"""By output and compression, where BuildKit is not to pack as it does by itself.  Only OCI's
manifests know zstd, and what is loaded has none of them."""


def definition(
    job: Job, dockerfiles: Mapping[str, str], *, network: str = "bridge"
) -> dict[str, Any]:
    """The JSON definition for ``docker buildx bake``.

    Args:
        job: What to build.
        dockerfiles: Path of the rendered Dockerfile of each image, by image name.
        network: ``host`` where the engine has no network of its own for build steps.
    """
    more = {"network": "host"} if network == "host" else {}
    bare: dict[str, Any] = {
        "group": {"default": {"targets": [image.id.bake_target for image in job.images]}},
        "target": {
            image.id.bake_target: _target(image, job.plan.context, dockerfiles[image.name]) | more
            for image in job.images
        },
    }
    literal: dict[str, Any] = _literal(bare)
    for image in job.plan.images:
        for name in image.passed_args:
            # By reference: the file stays in the record, and a proxy may hold a password.
            literal.setdefault("variable", {})[variable(name)] = {"default": ""}
            literal["target"][image.id.bake_target]["args"][name] = f"${{{variable(name)}}}"
        target = literal["target"][image.id.bake_target]
        for key in ("cache-from", "cache-to"):
            if key in target:
                target[key] = [_referring(spec, literal) for spec in target[key]]
    return literal


def _referring(spec: str, definition: dict[str, Any]) -> str:
    """A cache's *spec* whose keys bake reads from variables: they are in no file."""
    for name in variables_of([spec.replace("$${", "${")]):
        definition.setdefault("variable", {})[name] = {"default": ""}
        spec = spec.replace(f"=$${{{name}}}", f"=${{{name}}}")
    return spec


def caller(env: Mapping[str, str]) -> dict[str, str]:
    """*env* without the variables by which buildx would build something else than the plan.

    SOURCE_DATE_EPOCH is a setting: it is in the plan, and its value comes from there.
    """
    return {name: value for name, value in env.items() if name not in _SAYING_WHAT}


def variable(arg: str) -> str:
    """The variable that the value of a passed-on argument travels in."""
    return f"DYNBUILD_SECRET_ARG_{arg}"


def holder(arg: str, value: str) -> str:
    """The variable that *value* of an argument travels in which is in no cache key.

    Images of one bake may have different values: each value has a variable of its own.
    """
    return f"{_HOLDER}{arg}_{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def handed(plan: PlanDocument) -> dict[str, str]:
    """Variables with the values of the arguments that are in no cache key; none is a secret."""
    return {
        holder(arg, value): value
        for image in plan.images
        for arg, value in image.handed_args.items()
    }


def environment(job: Job) -> dict[str, str]:
    """Variables with the values of passed-on arguments."""
    return {variable(name): value for image in job.images for name, value in image.passed.items()}


def _literal(value: Any) -> Any:
    """*value* with the template signs of HCL escaped, which bake expands in JSON as well."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, list):
        return [_literal(item) for item in value]
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    return value


def _context(where: str) -> str:
    """A build context; one that is another image of the plan has that image's target name."""
    if where.startswith(LINK):
        return LINK + ImageId.parse(where.removeprefix(LINK)).bake_target
    return where


def targets(plan: PlanDocument, *, network: str = "bridge") -> tuple[str, ...]:
    """The last words of the command: what to build, and what that is allowed to use."""
    allowed = ["--allow=network.host"] if network == "host" else []
    allowed += ["--allow=ssh"] if any(image.ssh for image in plan.images) else []
    return (*allowed, *(image.id.bake_target for image in plan.images))


def network_of(plan: PlanDocument, engine: str) -> str:
    """The network of build steps: the one that is asked for, else what the *engine* has."""
    return "host" if plan.network == "host" else engine


def argv(
    plan: PlanDocument, *, bake_file: str, metadata_file: str, network: str = "bridge"
) -> tuple[str, ...]:
    """The command that ``dynbuild build`` runs, word by word."""
    return (
        "docker",
        "buildx",
        "bake",
        "--progress",
        "rawjson",
        "--file",
        bake_file,
        "--metadata-file",
        metadata_file,
        *targets(plan, network=network),
    )


def _output(image: ImagePlan) -> str:
    """Where the image goes, and how its layers are packed.

    Nothing is packed anew: who has the layers of the base image need not pull them again.
    """
    packing = _PACKING.get((image.output, image.compression), "")
    return f"{_OUTPUT[image.output]}{packing}"


def _target(job: ImageJob, context: str, dockerfile: str) -> dict[str, Any]:
    image = job.plan
    target: dict[str, Any] = {
        "context": context,
        "dockerfile": dockerfile,
        "target": image.stage,
        "args": image.keyed_args,
        "tags": list(image.tags),
        "labels": dict(image.labels),
        "platforms": list(image.platforms),
        "output": [_output(image)],
        # A provenance attestation holds the time of the build: with it, the same image
        # loaded twice would have two digests. What is pushed carries one.
        "attest": [
            "type=provenance,mode=min"
            if image.output == "push"
            else "type=provenance,disabled=true"
        ],
    }
    optional = {
        "contexts": {name: _context(where) for name, where in image.contexts.items()},
        "secret": [
            *(
                {key: value for key, value in asdict(secret).items() if value}
                for secret in job.secrets
            ),
            *({"id": arg, "env": holder(arg, value)} for arg, value in image.handed_args.items()),
        ],
        "cache-from": list(image.cache_from),
        "cache-to": list(image.cache_to),
    }
    target |= {key: value for key, value in optional.items() if value}
    if image.no_cache:
        target["no-cache"] = True
    if image.ssh:
        target["ssh"] = ["default"]
    return target
