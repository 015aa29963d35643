# trtllm-local-dev-aws-cuda13.1: rendered by dynbuild 0.1.0. Edit the templates, not this file.
#
# dynbuild render --framework trtllm --target local-dev-aws --device cuda
# --cuda-version 13.1
#
# Stages, each after those it needs:
#
#   efa_src -> dev-aws -> local-dev-aws

# ==== arguments =======================================================================
# A stage sees an argument only where it declares it again.
ARG EFA_VERSION=1.45.1
ARG DYNAMO_COMMIT_SHA=
ARG USER_UID=
ARG USER_GID=

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

# ==== local-dev-aws ===================================================================
# The dev image for one person: the user dynamo has that person's ids, so that files in a
# mounted tree keep their owner. Nothing is changed recursively: what the image holds belongs
# to group 0, which dynamo stays in, and group 0 may write it.
FROM dev-aws AS local-dev-aws
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
