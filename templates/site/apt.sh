# The lists are read anew each time: a package or an earlier command may have brought one.
# The image's own stay as they are.
rm -rf /run/site/apt && mkdir -p /run/site/apt
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.*; do
    test ! -f "$list" || sed -E -f /run/site/apt.sed "$list" > "/run/site/apt/${list##*/}"
done
printf 'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "/run/site/apt";\n' \
    > /run/site/apt.conf
if [ -e /run/secrets/ca_bundle ]; then
    echo 'Acquire::https::CaInfo "/run/secrets/ca_bundle";' >> /run/site/apt.conf
fi
if [ -e /run/site/home/.netrc ]; then
    echo 'Dir::Etc::netrc "/run/site/home/.netrc";' >> /run/site/apt.conf
fi
APT_CONFIG=/run/site/apt.conf exec "$real" "$@"
