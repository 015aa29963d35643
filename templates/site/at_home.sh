# The folder with the site's logins.
export HOME=/run/site/home
if [ "$name" = curl ]; then set -- --netrc-optional "$@"; fi
