"""Carrying a plan out: facts, preparation, the solve with its events, the record."""
