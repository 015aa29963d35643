#!/bin/sh
# In the place of Dynamo's endpoint picker: says how it was started.
echo "endpoint picker with $# arguments"
for argument in "$@"; do
    echo "argument: $argument"
done
