# Sourced by login shells of a development image.
export PYTHONPATH="${DYNAMO_HOME:-/workspace}/components/src${PYTHONPATH:+:$PYTHONPATH}"
