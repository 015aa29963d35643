"""Settings: layers of values folded into one checked catalog, each value with its origin."""
