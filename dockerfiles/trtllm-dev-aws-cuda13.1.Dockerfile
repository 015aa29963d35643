# trtllm-dev-aws-cuda13.1: rendered by dynbuild 0.1.0. Edit the templates, not this file.
#
# dynbuild render --framework trtllm --target dev-aws --device cuda --cuda-version
# 13.1
#
# Stages, each after those it needs:
#
#   efa_src -> dev-aws

# ==== arguments =======================================================================
# A stage sees an argument only where it declares it again.
ARG EFA_VERSION=1.45.1
ARG DYNAMO_COMMIT_SHA=

# ==== efa_src =========================================================================
# The tarball is unpacked by BuildKit; its one top folder is left behind.
FROM scratch AS efa_tarball
ARG EFA_VERSION
ADD --checksum=sha256:9aeb20c645135b6039cc08986d8f14e63280f7839e882a74df5e83627ffeaa17 --unpack=true https://efa-installer.amazonaws.com/aws-efa-installer-${EFA_VERSION}.tar.gz /

FROM scratch AS efa_src
COPY --from=efa_tarball /* /

# ==== dev-aws =========================================================================
# AWS's user space for its network adapter, on the finished image dev: another image
# of the same build, or a build context of that name. The installer is pinned by its checksum;
# its kernel module, its limits and its NCCL plug-in are the host's or NVIDIA's business.
# hadolint ignore=DL3006
FROM dev AS dev-aws
USER root
ENV DYNAMO_COMMIT_SHA=
ARG TARGETARCH
ARG EFA_VERSION
ENV EFA_VERSION=${EFA_VERSION}
RUN --mount=type=secret,id=ca_bundle,mode=0444 \
    --mount=type=secret,id=ca_bundle_path,env=SSL_CERT_FILE --mount=type=secret,id=ca_bundle_path,env=CURL_CA_BUNDLE \
    --mount=type=secret,id=ca_bundle_path,env=GIT_SSL_CAINFO --mount=type=secret,id=ca_bundle_path,env=PIP_CERT \
    --mount=type=secret,id=ca_bundle_path,env=REQUESTS_CA_BUNDLE --mount=type=secret,id=ca_bundle_path,env=CARGO_HTTP_CAINFO \
    --mount=type=cache,id=apt-packages-${TARGETARCH},target=/var/cache/apt,sharing=private \
    --mount=type=cache,id=apt-lists-${TARGETARCH},target=/var/lib/apt,sharing=private \
    --mount=type=bind,from=efa_src,target=/tmp/efa,rw \
    apt-get -oAcquire::Retries=5 update \
    && cd /tmp/efa \
    && DEBIAN_FRONTEND=noninteractive ./efa_installer.sh -y --skip-kmod --skip-limit-conf --no-verify \
    && rm -rf /opt/amazon/aws-ofi-nccl \
    && ldconfig
ARG DYNAMO_COMMIT_SHA
ENV DYNAMO_COMMIT_SHA=${DYNAMO_COMMIT_SHA}
