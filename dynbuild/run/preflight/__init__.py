"""What will go wrong with a container, told before it starts.  Pure.

The rules are those of the documents on running Dynamo's images (facts: runtime limits and
isolation; storage and NUMA; troubleshooting rules) and of docker itself, in modules by what
they are about.  A fact that is not known is never a finding.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynbuild import masking
from dynbuild.findings import Finding
from dynbuild.run.facts import Host
from dynbuild.run.preflight import files, gpu, limit, network, rights
from dynbuild.run.request import RunRequest


def check(request: RunRequest, host: Host) -> tuple[Finding, ...]:
    """What is wrong with *request* on *host*; one finding for each thing, in a fixed order."""
    rules = (
        gpu.check,
        limit.check_memory,
        network.check_ports,
        network.check_services,
        network.check_network,
        _secrets,
        files.check_mounts,
        files.check_disk,
        limit.check_init,
        limit.check_ulimits,
        rights.check,
    )
    return tuple(finding for rule in rules for finding in rule(request, host))


def _secrets(request: RunRequest, host: Host) -> Iterator[Finding]:
    del host
    for flag, entries in (("--label", request.labels), ("--docker-arg", request.docker_args)):
        for entry in entries:
            name, _, value = entry.partition("=")
            # What it is may stand behind another option's name: --docker-arg=--env=X=…
            if masking.is_secret(name, value) or masking.scrub_message(entry) != entry:
                yield Finding(
                    "secret-literal",
                    f"{flag} {masking.scrub_message(name)} shows a secret to all who see the"
                    " container's configuration",
                    "set it in the environment and pass it by name: -e NAME",
                )
    for entry in request.env:
        name, _, value = entry.partition("=")
        if masking.is_secret(name, value):
            yield Finding(
                "secret-literal",
                f"-e {name}=… shows a secret in the list of processes and the shell's history",
                f"set {name} in the environment and pass it by name: -e {name}",
            )
