# curl and wget: every argument with the addresses replaced, each still one word.
left=$#
while [ "$left" -gt 0 ]; do
    set -- "$@" "$(printf '%s\n' "$1" | sed -E -f /run/site/urls.sed)"
    shift
    left=$((left - 1))
done
# curl is told of the site's certificates by a variable.
if [ "$name" = wget ] && [ -e /run/secrets/ca_bundle ]; then
    set -- --ca-certificate=/run/secrets/ca_bundle "$@"
fi
exec "$real" "$@"
