"""CUDA base images from packages, for machines without NVIDIA's registry.

NVIDIA publishes the whole toolkit for CUDA 13 on the Python package index; for CUDA 12 the
distribution's non-free suite has one version.  Neither has the driver's libraries: stubs of them
are made from the declarations in the toolkit's own headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dynbuild import proc
from dynbuild.engine import builder, images
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady, RequestError, ToolFailed

_SECONDS = 3600.0
_FIRST_ON_INDEX = 13
_LABEL = "dynbuild.cuda"
_INDEX_URL = "DYNBUILD_SECRET_INDEX_URL"
_CA_BUNDLE_PATH = "DYNBUILD_SECRET_CA_BUNDLE_PATH"

# Until 24.2 pip did not read SSL_CERT_FILE.
_FROM_INDEX = """\
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-pip
RUN --mount=type=secret,id=ca_bundle,mode=0444 \\
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE \\
    --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \\
    --mount=type=secret,id=index_url,env=PIP_INDEX_URL \\
    python3 -m pip install --quiet --no-cache-dir --root-user-action ignore --only-binary :all: \\
        --target /packages "cuda-toolkit[nvcc,cudart,cccl,crt,nvvm,nvml,nvtx]==@CUDA@.*" \\
    && mv /packages/nvidia/cu* /usr/local/cuda && mv /usr/local/cuda/lib /usr/local/cuda/lib64
"""
# Unpacked and not installed: the packages ask for all libraries of CUDA and for the driver.  They
# have other folders than NVIDIA's toolkit, which nvcc.profile names.  Their headers declare
# functions that the C library has by now, and declares as not throwing.
_FROM_DISTRIBUTION = r"""
RUN sed -nE 's/^(deb .* [a-z]+) main$/\1 non-free/p' /etc/apt/sources.list.d/*.list \
        > /etc/apt/sources.list.d/non-free.list \
    && apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /packages
RUN apt-get download "nvidia-cuda-toolkit=@CUDA@.*" \
    && release="$(dpkg-deb --field nvidia-cuda-toolkit_*.deb Version | sed 's/.*~//')" \
    && apt-get download "nvidia-cuda-dev=*~$release" "libcudart12=*~$release" \
        "libnvidia-ml-dev=*~$release" "libnvvm4=*~$release" "libnvtoolsext1=*~$release" \
        libcu++-dev libcub-dev libthrust-dev \
    && mkdir root \
    && for package in *.deb; do \
        dpkg-deb --fsys-tarfile "$package" | tar -x -C root --exclude='compute-*' \
            --exclude=cuda-gdb --exclude='*/lib[mn]*.a' --exclude='*/libcu[bfrs]*.a' \
        && rm "$package" || exit 1; done
RUN mkdir -p /usr/local/cuda/nvvm/bin && cd root/usr \
    && mv bin include /usr/local/cuda/ && mv lib/*-linux-gnu /usr/local/cuda/lib64 \
    && cd lib/nvidia-cuda-toolkit \
    && rm bin/gcc bin/g++ bin/nvcc.profile && mv bin/cicc libdevice /usr/local/cuda/nvvm/ \
    && cd /usr/local/cuda && mv nvvm/cicc nvvm/bin/ \
    && cp -r /packages/root/usr/lib/nvidia-cuda-toolkit/bin/. bin/ \
    && find lib64 -xtype l -delete \
    && sed -i -E 's/^(extern .* (sin|cos)pif?\((double|float) x\));/\1 noexcept (true);/' \
        include/crt/math_functions.h \
    && printf '%s\n' 'TOP = $(_HERE_)/..' 'NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice' \
        'LD_LIBRARY_PATH += $(TOP)/lib64:' 'PATH += $(TOP)/nvvm/bin:$(_HERE_):' \
        'INCLUDES += "-I$(TOP)/include" $(_SPACE_)' \
        'LIBRARIES =+ $(_SPACE_) "-L$(TOP)/lib64/stubs" "-L$(TOP)/lib64"' > bin/nvcc.profile
"""
# The distribution's own compiler is too new for this nvcc.
_HOST_COMPILER = """\
RUN apt-get update && apt-get install -y --no-install-recommends g++-13
ENV NVCC_PREPEND_FLAGS=-ccbin=g++-13
"""
# From here on /usr/local/cuda is as in NVIDIA's images: bin, include, lib64, nvvm.  A library
# that a package has under its SONAME alone gets the name that linkers look for.
_STUBS = r"""
WORKDIR /usr/local/cuda/lib64
RUN for file in *.so.*; do test -e "${file%%.so.*}.so" || ln -s "$file" "${file%%.so.*}.so"; done \
    && ln -s lib64 ../lib
RUN <<'END'
set -eu
mkdir -p stubs
cd stubs
stub() { # stub LIBRARY HEADER PREFIX CODE; the toolkit's own stays
    if [ -e "$1" ]; then return; fi
    {
        echo "const char dynbuild_stub[] = \"stub of $1, made by dynbuild from $2\";"
        # The names that the header gives to old versions, and those without a version, too.
        for flag in -P -D__CUDA_API_VERSION_INTERNAL; do
            gcc -E -P "$flag" "../../include/$2"
        done | tr '\n' ' ' \
            | grep -oE "(char *\* *)?\b$3[A-Z][A-Za-z0-9_]* *\(" | sed 's/ *($//' \
            | sed -E 'p; s/_v[0-9]+$//' | sort -u \
            | sed -E -e 's/^char.* (\w+)$/const char *\1(void) { return dynbuild_stub; }/' \
                -e "s/^(\w+)\$/int \1(void) { return $4; }/"
    } > stub.c
    gcc -shared -fPIC -O1 -w -Wl,-soname,"$1.1" -o "$1" stub.c
    rm stub.c
}
# What they answer: CUDA_ERROR_STUB_LIBRARY, NVML_ERROR_LIBRARY_NOT_FOUND.
stub libcuda.so cuda.h cu 34
stub libnvidia-ml.so nvml.h nvml 12
cat > README <<'TEXT'
Stubs for linking, made by dynbuild from the declarations in cuda.h and nvml.h.  Every function
answers that there is no driver; on a machine with a GPU the driver's own take their place.
TEXT
END
"""
_IMAGE = """\
FROM @BASE@
COPY --from=toolkit /usr/local/cuda /usr/local/cuda
RUN echo /usr/local/cuda/lib64 > /etc/ld.so.conf.d/cuda.conf && ldconfig
@MORE@ENV CUDA_VERSION=@CUDA@ \\
    NVIDIA_VISIBLE_DEVICES=all \\
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \\
    LIBRARY_PATH=/usr/local/cuda/lib64/stubs \\
    PATH=/usr/local/cuda/bin:${PATH}
LABEL @LABEL@=@CUDA@
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """A CUDA toolkit, and how this machine reaches the package index.

    Attributes:
        version: CUDA's version: two numbers, such as ``13.0``.
        ca_bundle: File with the certificates that this machine trusts; empty for the usual ones.
        index_url: Python package index; empty for pip's default.

    Raises:
        RequestError: *version* is no version of CUDA.
    """

    version: str
    ca_bundle: str = ""
    index_url: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9][0-9]?\.[0-9]", self.version):
            raise RequestError(
                f"'{self.version}' is not a version of CUDA",
                origin="--cuda",
                hint="it has two numbers, such as 13.0",
            )

    @property
    def on_index(self) -> bool:
        """Whether the Python package index has this toolkit."""
        return int(self.version.partition(".")[0]) >= _FIRST_ON_INDEX


def make(
    engine: Engine,
    env: Mapping[str, str],
    toolkit: Toolkit,
    *,
    on: str,
    platform: str,
    force: bool = False,
    say: Callable[[str], None],
) -> str:
    """Make a CUDA base image on the Debian image *on*, unless the engine has it.

    Args:
        engine: The engine that has *on* and gets the image.
        env: The environment of the user.
        toolkit: Which CUDA.
        on: ``dynbuild/debian:TAG``.
        platform: The platform of *on*, such as ``linux/amd64``.
        force: Make it anew even if the engine has it.
        say: Takes lines of progress.

    Returns:
        The name of the image: ``dynbuild/cuda:VERSION-TAG``.

    Raises:
        NotReady: The image cannot be made: there is no such toolkit, or it is out of reach.
    """
    name = f"dynbuild/cuda:{toolkit.version}-{on.rpartition(':')[2]}"
    docker = engine.env(env)
    if images.has(engine, env, name) and not force:
        say(f"{name} is there already")
        return name
    where = "Python package index" if toolkit.on_index else "non-free suite of the distribution"
    say(f"making {name} from the {where}")
    own = f"--builder={builder.own_name(docker)}"
    options = [own, f"--platform={platform}", "--provenance=false", "--load"]
    options += ["--no-cache"] if force else []
    options += ["--network=host"] if engine.network == "host" else []
    secrets, variables = _secrets(toolkit)
    options += secrets
    try:
        proc.run(
            (engine.docker, "buildx", "build", "--progress=plain", *options, f"--tag={name}", "-"),
            env={**docker, **variables},
            input=dockerfile(toolkit, on=on),
            timeout=_SECONDS,
        )
    except ToolFailed as error:
        raise NotReady(
            f"{name} cannot be made from the {where}",
            hint="see whether it is reached, and has that version of CUDA"
            + ("" if toolkit.on_index else "; Debian trixie has 12.4"),
            details=_reasons(error),
        ) from error
    return name


def _secrets(toolkit: Toolkit) -> tuple[list[str], dict[str, str]]:
    """How the index is reached: options of the build, and the variables that they name."""
    variables = {}
    options = []
    if toolkit.ca_bundle:
        options.append(f"--secret=id=ca_bundle,src={toolkit.ca_bundle}")
        variables[_CA_BUNDLE_PATH] = "/run/secrets/ca_bundle"
    if toolkit.index_url:
        variables[_INDEX_URL] = toolkit.index_url
    for variable in variables:
        secret = variable.removeprefix("DYNBUILD_SECRET_").lower()
        options.append(f"--secret=id={secret},env={variable}")
    return options, variables


def _reasons(error: ToolFailed) -> tuple[str, ...]:
    """The lines in which the tools of a step say what is wrong, else all there are."""
    lines = [line.strip() for line in error.stderr.splitlines()]
    said = [re.sub(r"^(#\d+ )?[\d.]+ ", "", line) for line in lines]
    told = tuple(dict.fromkeys(line for line in said if re.match(r"(E|ERROR|error): ?", line)))
    return told[:5] or error.details


def dockerfile(toolkit: Toolkit, *, on: str) -> str:
    """The Dockerfile of a CUDA base image on the image *on*."""
    way = _FROM_INDEX if toolkit.on_index else _FROM_DISTRIBUTION
    more = "" if toolkit.on_index else _HOST_COMPILER
    text = f"FROM {on} AS toolkit\n{way}{_STUBS}{_IMAGE.replace('@MORE@', more)}"
    for word, value in (("@CUDA@", toolkit.version), ("@BASE@", on), ("@LABEL@", _LABEL)):
        text = text.replace(word, value)
    return text
