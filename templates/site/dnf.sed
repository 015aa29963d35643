# A list of mirrors names hosts that sed cannot see; the address that lists show as a comment
# takes its place.
/^(mirrorlist|metalink)[[:space:]]*=/d
s/^#[[:space:]]*baseurl[[:space:]]*=/baseurl=/
