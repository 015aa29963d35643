# config-manager edits the lists themselves and goes to no network.
case " $* " in *" config-manager "*) exec "$real" "$@";; esac
# As for apt, the lists are read anew each time and the image's own stay.
rm -rf /run/site/dnf && mkdir -p /run/site/dnf
for list in /etc/yum.repos.d/*.repo; do
    test ! -f "$list" || sed -E -f /run/site/dnf.sed "$list" > "/run/site/dnf/${list##*/}"
done
set -- --setopt=reposdir=/run/site/dnf "$@"
test ! -e /run/secrets/ca_bundle || set -- --setopt=sslcacert=/run/secrets/ca_bundle "$@"
exec "$real" "$@"
