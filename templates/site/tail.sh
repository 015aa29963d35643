unset -f in_front
# The shell has looked for the programs already, and remembers where they were.
hash -r
