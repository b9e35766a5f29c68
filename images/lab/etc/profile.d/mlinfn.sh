# Programs that members install with pip come first; a prompt with name, folder and colour; completion.
case ":$PATH:" in
    *":$HOME/.local/bin:"*) ;;
    *) PATH="$HOME/.local/bin:$PATH" ;;
esac
export PATH

if [ -n "${BASH_VERSION:-}" ] && [ -n "${PS1:-}" ]; then
    . /etc/mlinfn-bashrc
fi
