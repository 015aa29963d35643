#!/bin/sh
# In front of the real program of this name, which is the next one in PATH.
name="${0##*/}"
others="$(printf %s ":$PATH:" | sed -e 's#:/run/site/bin:#:#' -e 's#^:##' -e 's#:$##')"
real="$(PATH="$others" command -v "$name")"
