#!/bin/bash
# What an image of that shape does before its command: as root it would become NB_USER; as anybody else it wants a name
# in /etc/passwd, and complains where the home of jovyan cannot be written.
set -e
if [ "$(id -u)" = 0 ]; then
    echo "start.sh: started as root, for $NB_USER ($NB_UID:$NB_GID)" >&2
    exit 1
fi
if ! whoami >/dev/null 2>&1; then
    echo "start.sh: WARNING: no name for uid $(id -u)" >&2
fi
if [ "$NB_USER" != jovyan ] && [ "$NB_USER" != "$(id -un)" ]; then
    echo "start.sh: WARNING: NB_USER is $NB_USER, but this is $(id -un)" >&2
fi
if [ ! -w /home/jovyan ]; then
    echo "start.sh: WARNING: no write access to /home/jovyan" >&2
fi
exec "$@"
