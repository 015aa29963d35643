"""The same run elsewhere: a run request as a file of another tool.  Pure.

What a format cannot say is said in a comment at the top of the file.
"""

from __future__ import annotations

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.run import grammars
from dynbuild.run.export import compose, devcontainer, k8s, systemd
from dynbuild.run.request import RunRequest

FORMATS = ("compose", "k8s", "devcontainer", "systemd")
"""Docker Compose file, Kubernetes Pod, devcontainer.json, systemd service unit."""

GPU_TYPE = "nvidia.com/gpu"
"""The extended resource that NVIDIA's device plugin offers (facts: Kubernetes resource model)."""


def export(
    request: RunRequest,
    format: str,
    *,
    services: bool,
    framework: str = "",
    gpu_type: str = GPU_TYPE,
    post_create: bool = True,
) -> str:
    """*request* as the text of a file, with a newline at its end.

    Args:
        request: What to run and how.
        format: One of ``FORMATS``.
        services: Start NATS with JetStream and etcd too; compose and k8s can.
        framework: For the display name of a devcontainer.
        gpu_type: Name of the GPU resource in Kubernetes.
        post_create: Whether the tree has the script that sets up a new devcontainer.

    Raises:
        RequestError: No such format, or the request has a value that no engine takes or
            that this format must not leave out.
    """
    if format not in FORMATS:
        raise RequestError(
            f"there is no export format '{format}'", hint=names.did_you_mean(format, FORMATS)
        )
    if services and format not in ("compose", "k8s"):
        raise RequestError(
            f"a {format} file starts one container, not NATS and etcd too",
            hint="export compose or k8s, or start them by themselves",
        )
    if request.name:
        grammars.name(request.name)
    if format == "compose":
        text = compose.render(request, services=services)
    elif format == "k8s":
        text = k8s.render(request, services=services, gpu_type=gpu_type)
    elif format == "devcontainer":
        text = devcontainer.render(request, framework=framework, post_create=post_create)
    else:
        text = systemd.render(request)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError("the request holds bytes that are no UTF-8 text") from None
    return text
