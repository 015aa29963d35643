# git has other addresses in its own configuration, and no program in front of it.
if [ -e /run/secrets/ca_bundle ]; then
    printf '[http]\n\tsslCAInfo = /run/secrets/ca_bundle\n' >> /run/site/gitconfig
fi
export GIT_CONFIG_GLOBAL=/run/site/gitconfig
