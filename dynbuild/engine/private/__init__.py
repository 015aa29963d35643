"""A Docker engine of dynbuild's own: nothing of it is installed, all of it is below one directory.

``layout`` knows where its parts are; ``processes`` and ``network`` (with ``firewall`` and
``connection``) what on this machine belongs to it; ``state`` what it says of itself; ``start``
(with the files of ``settings``) and ``stop`` begin and end it; ``installations`` knows whose it is;
``storage`` gives its disk back.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dynbuild.engine.private.installations import join, leave
    from dynbuild.engine.private.start import up
    from dynbuild.engine.private.state import Status, host, network_trouble, running, status
    from dynbuild.engine.private.stop import down
    from dynbuild.engine.private.storage import Selection, prune, remove, unused

__all__ = [
    "Selection",
    "Status",
    "down",
    "host",
    "join",
    "leave",
    "network_trouble",
    "prune",
    "remove",
    "running",
    "status",
    "unused",
    "up",
]

_MODULES = {
    "installations": ("join", "leave"),
    "start": ("up",),
    "state": ("Status", "host", "network_trouble", "running", "status"),
    "stop": ("down",),
    "storage": ("Selection", "prune", "remove", "unused"),
}


def __getattr__(name: str) -> object:
    """What has that name, of a module that is imported now: a build needs one of the five."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
