"""Docker engines: the one the machine has, and a private one that needs no installation."""
