"""The launcher: a run request, the host's facts, what will go wrong, and the command."""
