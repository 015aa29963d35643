# none-runtime-cpu+index: rendered by dynbuild 0.1.0. Edit the templates, not this file.
#
# dynbuild render --framework none --target runtime --device cpu --dynamo-wheels index
#
# Stages, each after those it needs:
#
#   base -> uv_tool -> dynamo_base -> build_tools -> ucx_src -> ucx -> dynamo_wheels ->
#   wheel_builder -> dynamo_requirements -> runtime

# ==== arguments =======================================================================
# A stage sees an argument only where it declares it again.
ARG BASE_IMAGE=dynbuild/debian
ARG BASE_IMAGE_TAG=trixie
ARG UV_VERSION=0.11.2
ARG PYTHON_VERSION=3.13
ARG DYNAMO_VERSION=0.9.0
ARG ENABLE_KVBM=false
ARG LEFT_OUT_REQUIREMENTS=
ARG ENABLE_GPU_MEMORY_SERVICE=false
ARG DYNAMO_COMMIT_SHA=
ARG UV_EXCLUDE_NEWER=2026-02-12

# ==== base ============================================================================
# The image everything but the manylinux build stages starts from. It has a stage of its
# own so that a build context named "base" can take its place.
FROM ${BASE_IMAGE}:${BASE_IMAGE_TAG} AS base

# ==== uv_tool =========================================================================
# A program that its project publishes on the Python package index.
FROM base AS uv_tool
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        ca-certificates \
        python3-venv

ARG UV_VERSION
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=PIP_INDEX_URL \
    python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --retries 7 --no-cache-dir "uv==${UV_VERSION}" \
    && mkdir -p /tool/opt/uv/bin/ \
    && cp /opt/uv/bin/uv* /tool/opt/uv/bin/

# ==== dynamo_base =====================================================================
# What every image of Dynamo stands on: NATS, etcd and uv on the base image.
# Packages first, as they change least; each copied tool is a layer of its own, so that a
# new NATS leaves etcd and uv alone.
FROM base AS dynamo_base
USER root
WORKDIR /opt/dynamo
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        ca-certificates \
        nats-server \
        etcd-server \
        etcd-client

COPY --from=uv_tool /tool/ /
# The distribution puts etcd into /usr/bin; its place in Dynamo's images is this folder.
RUN mkdir -p /usr/local/bin/etcd && ln -s /usr/bin/etcd /usr/bin/etcdctl /usr/local/bin/etcd/
ENV PATH=/opt/uv/bin:/usr/local/bin/etcd/:${PATH}

# ==== build_tools =====================================================================
# The C and C++ compilers. The native components are built from this stage, side by side,
# so it holds only what several of them need: a new Rust or uv compiles none of them again.
FROM base AS build_tools
USER root
WORKDIR /workspace
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        autoconf \
        automake \
        build-essential \
        ca-certificates \
        cmake \
        flex \
        git \
        libhwloc-dev \
        libibumad-dev \
        libibverbs-dev \
        libnuma-dev \
        librdmacm-dev \
        libtool \
        ninja-build \
        pkg-config \
        rdma-core \
        unzip

# ==== ucx_src =========================================================================
# The upstream tarball of the distribution's source package, suite bookworm. The mirror is the
# one the base image is configured with. A tarball that Debian repacked holds upstream's
# own debian/ folder, which its configure script asks for, under another name.
FROM base AS ucx_fetch
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        xz-utils

WORKDIR /fetch
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    set -eu; \
    sources="$(sed -n 's/^deb /deb-src /p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true)"; \
    if [ -z "$sources" ]; then \
        sources="$(awk 'BEGIN { RS = ""; FS = "\n" } \
            { split("", field); key = ""; \
              for (i = 1; i <= NF; i++) { \
                if ($i ~ /^#/) continue; \
                if (match($i, /^[A-Za-z-]+:/)) { \
                  key = tolower(substr($i, 1, RLENGTH - 1)); field[key] = substr($i, RLENGTH + 1) \
                } else field[key] = field[key] " " $i } \
              if (field["types"] !~ /deb( |$)/ || field["enabled"] ~ /no/) next; \
              key = field["signed-by"]; gsub(/^ +| +$/, "", key); gsub(/ +/, ",", key); \
              key = key ~ /^\// ? "[signed-by=" key "] " : ""; \
              uris = split(field["uris"], uri, " "); suites = split(field["suites"], suite, " "); \
              for (i = 1; i <= uris; i++) for (j = 1; j <= suites; j++) \
                print "deb-src " key uri[i] " " suite[j] field["components"] }' \
            /etc/apt/sources.list.d/*.sources)"; \
    fi; \
    sources="$(printf '%s\n' "$sources" | grep -v -e security -e updates | head -n 1 \
        | sed -E 's/^(deb-src (\[[^]]*\] )?[^ ]+) [^ ]+/\1 bookworm/')"; \
    printf '%s\n' "$sources" > /etc/apt/sources.list.d/source.list; \
    rm -f /etc/apt/apt.conf.d/docker-clean; \
    apt-get -oAcquire::Retries=5 update; \
    apt-get -oAcquire::Retries=5 source --download-only --tar-only ucx; \
    mkdir /tree; \
    tar -xf ./*.orig.tar.* -C /tree --strip-components=1 --no-same-owner; \
    if [ -d /tree/debian.upstream ]; then mv /tree/debian.upstream /tree/debian; fi

FROM scratch AS ucx_src
COPY --from=ucx_fetch /tree/ /

# ==== ucx =============================================================================
# UCX: the transports below NIXL.
FROM build_tools AS ucx

WORKDIR /build

# The source is mounted, not copied: what autogen and make leave there is thrown away. Its
# test programs are not built: they go into no image, and need not fit a newer CUDA. Nor is
# debug information, which the installation strips: the compile cache would keep it.
# The distribution's compiler may be newer than this UCX: its new warnings are no errors,
# and <cstdint> no longer comes with other headers.
RUN --mount=type=secret,id=BUILD_JOBS,env=BUILD_JOBS \
    --mount=type=bind,from=ucx_src,target=/source,rw \
    cd /source \
    && { [ -x configure ] || ./autogen.sh; } \
    && cd /build \
    && export CFLAGS="-O2 -g0 -Wno-error" CXXFLAGS="-O2 -g0" CXX="g++ -include cstdint" \
    && /source/contrib/configure-release --prefix=/usr/local/ucx --enable-shared --disable-static \
        --disable-doxygen-doc --enable-optimizations --enable-cma --enable-devel-headers \
        --without-cuda --with-verbs --with-dm --enable-mt \
    && sed -i -E '/^SUBDIRS *=/,/[^\\]$/ s@test/(apps|mpi)@@' Makefile \
    && make -j"${BUILD_JOBS:-$(nproc)}" \
    && make install-strip

# ==== dynamo_wheels ===================================================================
# The published wheels of Dynamo itself; what they depend on is installed with them later, but
# for what uv is told to leave out: a requirement of no Python.
FROM base AS dynamo_wheels
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        ca-certificates \
        python3-pip

ARG PYTHON_VERSION
ARG DYNAMO_VERSION
ARG ENABLE_KVBM
ARG LEFT_OUT_REQUIREMENTS
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=PIP_INDEX_URL \
    if [ "${ENABLE_KVBM}" = true ]; then set -- "kvbm==${DYNAMO_VERSION}"; fi \
    && python3 -m pip download --retries 7 --no-cache-dir --no-deps --only-binary :all: \
        --python-version "${PYTHON_VERSION}" --dest /opt/dynamo/dist \
        "ai-dynamo==${DYNAMO_VERSION}" "ai-dynamo-runtime==${DYNAMO_VERSION}" "$@" \
    && IFS=, && for name in ${LEFT_OUT_REQUIREMENTS}; do \
        echo "${name} ; python_version < '3'"; done > /opt/dynamo/dist/left-out.txt

# ==== wheel_builder ===================================================================
# Everything that was built, in one place. The parts are built side by side; this stage only
# collects them, native libraries first, as wheels change more often.
FROM build_tools AS wheel_builder

COPY --from=ucx /usr/local/ucx /usr/local/ucx
COPY --from=dynamo_wheels /opt/dynamo/dist/ /opt/dynamo/dist/

# ==== dynamo_requirements =============================================================
# What Dynamo's wheels ask for, as text: installed in a layer of its own, it is not installed again
# for wheels that ask for the same. NIXL comes by itself.
FROM dynamo_wheels AS dynamo_requirements
COPY <<'EOF' /requirements.py
import pathlib
import re
import zipfile

found = set()
for wheel in pathlib.Path("/dist").glob("*/*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().partition("\n\n")[0].splitlines()
    for line in lines:
        if line.startswith("Requires-Dist: "):
            asked, _, marker = line.removeprefix("Requires-Dist: ").partition(";")
            extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
            if extra:
                continue
            marker = re.sub(r"(\s*and\s*)?extra\s*==\s*['\"][\w-]+['\"]", "", marker).strip()
            if not re.match(r"ai-dynamo|nixl|kvbm\b|gpu-memory-service", asked.replace("_", "-")):
                found.add(f"{asked.strip()} ; {marker}" if marker else asked.strip())
print(*sorted(found), sep="\n")
EOF

RUN --mount=type=bind,from=dynamo_wheels,source=/opt/dynamo/dist,target=/dist/dynamo_wheels \
    mkdir /deps \
    && python3 /requirements.py > /deps/requirements.txt \
    && find /dist -name left-out.txt -exec cat {} + > /deps/left-out.txt

# ==== runtime =========================================================================
# The image without an engine: router, frontend, mocker, and the native libraries.
# Order: packages and user (rarely change), native libraries, wheels, and last the commit,
# which changes with every build and must not take a layer with it.
FROM dynamo_base AS runtime
ARG PYTHON_VERSION
USER root
WORKDIR /opt/dynamo
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        python${PYTHON_VERSION}-dev \
        python${PYTHON_VERSION}-venv \
        ibverbs-providers \
        libgomp1 \
        libibverbs1 \
        libnuma1 \
        librdmacm1 \
    && ln -sf "/usr/bin/python${PYTHON_VERSION}" /usr/bin/python3

RUN if id ubuntu >/dev/null 2>&1; then userdel -r ubuntu 2>/dev/null || true; fi \
    && useradd --create-home --shell /bin/bash --uid 1000 --gid 0 dynamo \
    && mkdir -p /home/dynamo/.cache /opt/dynamo /workspace \
    && chown dynamo:0 /home/dynamo /home/dynamo/.cache /opt/dynamo /workspace \
    && chmod g+rwx /home/dynamo /home/dynamo/.cache /opt/dynamo /workspace \
    && printf 'umask 002\n' > /etc/profile.d/00-umask.sh \
    && chmod 644 /etc/profile.d/00-umask.sh
# Only a login shell reads the umask: from here on what RUN creates is group-writable.
SHELL ["/bin/bash", "-l", "-o", "pipefail", "-c"]

COPY --from=ucx --exclude=include --exclude=**/*.la --exclude=**/*.a --exclude=**/pkgconfig --exclude=**/cmake --exclude=**/examples /usr/local/ucx/ /usr/local/ucx/

RUN printf '%s\n' /usr/local/ucx/lib /usr/local/ucx/lib/ucx > /etc/ld.so.conf.d/dynamo.conf && ldconfig

COPY --chmod=644 <<'EOF' /etc/profile.d/10-dynamo.sh
PATH="/opt/uv/bin:/usr/local/ucx/bin:/opt/dynamo/venv/bin:/usr/local/bin/etcd:$PATH"
EOF

COPY --chmod=755 <<'EOF' /opt/dynamo/entrypoint.sh
#!/bin/sh
# Files of the group stay writable for the group.
umask 002
[ "$#" -gt 0 ] || set -- /bin/bash
[ ! -x /opt/nvidia/nvidia_entrypoint.sh ] || exec /opt/nvidia/nvidia_entrypoint.sh "$@"
exec "$@"
EOF

USER dynamo
ENV HOME=/home/dynamo \
    USER=dynamo \
    LOGNAME=dynamo \
    CARGO_TARGET_DIR=/opt/dynamo/target \
    VIRTUAL_ENV=/opt/dynamo/venv \
    PATH=/opt/uv/bin:/usr/local/ucx/bin:/opt/dynamo/venv/bin:${PATH}
ARG TARGETARCH
ARG UV_VERSION
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
ARG UV_EXCLUDE_NEWER
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    --mount=type=bind,from=dynamo_requirements,source=/deps,target=/deps \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && export UV_OVERRIDE=/deps/left-out.txt \
    && uv venv --python "python${PYTHON_VERSION}" /opt/dynamo/venv \
    && uv pip install -r /deps/requirements.txt \
    && find "${VIRTUAL_ENV}" -name '*.la' -delete && rm -rf "${VIRTUAL_ENV}/include/site" "${VIRTUAL_ENV}/pkgconfig"
ARG ENABLE_KVBM
ARG ENABLE_GPU_MEMORY_SERVICE
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    --mount=type=bind,from=wheel_builder,source=/opt/dynamo/dist,target=/opt/dynamo/wheelhouse \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && one() { find /opt/dynamo/wheelhouse -maxdepth 1 -name "$1" | sort | head -n 1 | grep . \
        || { echo "no wheel $1 was built" >&2; return 1; }; } \
    && runtime="$(one 'ai_dynamo_runtime*.whl')" \
    && dynamo="$(one 'ai_dynamo-*any.whl')" \
    && set -- "$runtime" "$dynamo" \
    && export UV_OVERRIDE=/opt/dynamo/wheelhouse/left-out.txt \
    && if [ "${ENABLE_GPU_MEMORY_SERVICE}" = true ]; then \
        gms="$(one 'gpu_memory_service*.whl')" && set -- "$@" "$gms"; fi \
    && if [ "${ENABLE_KVBM}" = true ]; then kvbm="$(one 'kvbm*.whl')" && set -- "$@" "$kvbm"; fi \
    && uv pip install "$@" \
    && find "${VIRTUAL_ENV}" -name '*.la' -delete && rm -rf "${VIRTUAL_ENV}/include/site" "${VIRTUAL_ENV}/pkgconfig"

ENTRYPOINT ["/opt/dynamo/entrypoint.sh"]
CMD ["/bin/bash"]
ARG DYNAMO_COMMIT_SHA
ENV DYNAMO_COMMIT_SHA=${DYNAMO_COMMIT_SHA}
