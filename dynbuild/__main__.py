"""``python -m dynbuild``."""

from dynbuild.cli import main

if __name__ == "__main__":
    main()
