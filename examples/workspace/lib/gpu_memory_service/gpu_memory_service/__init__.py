"""Bookkeeping of an aligned memory arena: offsets are given out, no memory is touched."""

from importlib import metadata

from gpu_memory_service._arena import Arena

__all__ = ["Arena", "__version__"]

__version__ = metadata.version("gpu_memory_service")
