# Addresses of this site, for one build step, which sources this text; written by dynbuild.
# All that is written is in /run/site, a temporary file system of that step.
mkdir -p /run/site/bin
# A step may source it twice.
case ":$PATH:" in *:/run/site/bin:*) ;; *) export PATH="/run/site/bin:$PATH";; esac
# Puts the program /run/site/shim in front of those named that the image has.
in_front() {
    for program in "$@"; do
        ! command -v "$program" >/dev/null || install -m 755 /run/site/shim "/run/site/bin/$program"
    done
}
