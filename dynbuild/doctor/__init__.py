"""Is this machine ready, and what does a bug report need to know of it?"""
