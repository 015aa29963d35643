"""Print which of the tree's wheels are installed as JSON; exit 1 when the core is missing."""

import json
import sys
from importlib import metadata

NAMES = ("ai-dynamo", "ai-dynamo-runtime", "kvbm", "gpu_memory_service")


def version(name: str) -> str | None:
    """Version of a distribution, or nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


found = {name: version(name) for name in NAMES}
print(json.dumps(found, indent=2))
sys.exit(not (found["ai-dynamo"] and found["ai-dynamo-runtime"]))
