"""A Docker engine of dynbuild's own: nothing of it is installed, all of it is below one directory.

``place`` knows where its parts are; ``processes`` and ``network`` what on this machine belongs
to it; ``answer`` what it says of itself; ``start`` (with the files of ``settings``) and ``stop``
begin and end it; ``storage`` gives its disk back.
"""

from dynbuild.engine.private.answer import Status, host, running, status
from dynbuild.engine.private.place import home
from dynbuild.engine.private.start import up
from dynbuild.engine.private.stop import down
from dynbuild.engine.private.storage import prune

__all__ = ["Status", "down", "home", "host", "prune", "running", "status", "up"]
