"""A plan as text: one Dockerfile an image, one bake definition.  Pure but for reading templates."""
