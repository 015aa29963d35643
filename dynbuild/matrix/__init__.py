"""Many builds as one: which are solved together, all of them side by side, and what came of it."""
