# curl and wget: every argument with the addresses replaced, each still one word.
left=$#
while [ "$left" -gt 0 ]; do
    set -- "$@" "$(printf '%s\n' "$1" | sed -E -f /run/site/urls.sed)"
    shift
    left=$((left - 1))
done
exec "$real" "$@"
