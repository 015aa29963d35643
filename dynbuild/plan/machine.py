"""What a plan needs to know of the machine."""

from __future__ import annotations

from dynbuild.quick import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the plan needs to know of the machine.

    Attributes:
        uid: Caller's user id (under sudo, the calling user's).
        gid: Likewise, the group.
        ca_bundle: File with the certificates this machine trusts beyond the usual ones.
        index_url: Python package index of this machine's pip configuration.
        date: Of the build, as eight digits, in UTC.
        ecr_hostname: Registry with a proxy of Docker Hub, for the endpoint picker's build.
    """

    uid: int
    gid: int
    ca_bundle: str = ""
    index_url: str = ""
    ecr_hostname: str = ""
    date: str = ""
