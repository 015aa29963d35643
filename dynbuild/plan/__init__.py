"""The decision: which images, from which stages, with which values, and why.  Pure."""
