# Logins of this site. git, curl and wget look for them in a home folder, which is no folder
# of the image; uv and pip, and what else uses requests, take the variable.
mkdir -p /run/site/home
export NETRC=/run/site/home/.netrc
