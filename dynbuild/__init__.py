"""dynbuild: plan, render, build and run the container images of NVIDIA Dynamo.

The package follows one line: data -> plan -> render -> drive -> report, with the
launcher beside it.  Everything before *drive* is pure; ``docs/architecture.md``
names the module for every step.
"""

__version__ = "0.1.0"
