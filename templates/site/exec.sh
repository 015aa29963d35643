# Nothing else is changed for it.
exec "$real" "$@"
