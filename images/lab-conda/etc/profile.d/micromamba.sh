# `micromamba activate` in terminals.
if [ -n "${BASH_VERSION:-}" ] && [ -n "${PS1:-}" ]; then
    eval "$(micromamba shell hook --shell bash 2>/dev/null)"
fi
