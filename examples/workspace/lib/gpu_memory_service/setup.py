"""The extension; everything else stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "gpu_memory_service._arena",
            sources=["gpu_memory_service/_arena.cpp"],
            extra_compile_args=["-std=c++17", "-O2", "-Wall", "-Wextra"],
            language="c++",
        )
    ]
)
