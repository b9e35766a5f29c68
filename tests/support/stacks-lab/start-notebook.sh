#!/bin/bash
# The image's own command: a server alone, or that of a hub where one has started it.
if [ -n "$JUPYTERHUB_API_TOKEN" ]; then
    exec jupyterhub-singleuser "$@"
fi
exec jupyter lab "$@"
