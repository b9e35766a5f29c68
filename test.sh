#!/usr/bin/env bash
# Installs what the tests need on this Debian machine, then runs them. Flags go to pytest: ./test.sh -k picker
# Only what the chosen tests need is installed: `./test.sh -m "not docker and not browser and not stack"` needs no engine.
set -euo pipefail
cd "$(dirname "$0")"
began=$SECONDS

say() { printf '== %s\n' "$*"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

apt_install() {
  say "installing $*"
  as_root apt-get update -q >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

# need PROGRAM=PACKAGE...: Debian's packages for the programs that are not there.
need() {
  local entry missing=()
  for entry; do
    command -v "${entry%%=*}" >/dev/null || missing+=("${entry#*=}")
  done
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

make_environment() {
  local wanted
  wanted=$(cat setup.cfg pyproject.toml | sha256sum)
  [ "$(cat .venv/.installed-for 2>/dev/null)" != "$wanted" ] || return 0
  say "making .venv"
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  .venv/bin/python -m pip install --help >/dev/null 2>&1 || python3 -m venv --clear .venv
  .venv/bin/python -m pip install -q -e '.[docs,test]'
  # Nobody here asks for the one format that it checks, and it takes a second of each start of a hub.
  .venv/bin/python -m pip uninstall -q -y rfc3987-syntax
  echo "$wanted" >.venv/.installed-for
}

# The engine is installed and started by install.sh, as on any machine; a daemon that answers is left as it is.
make_engine() {
  ./install.sh --engine-only
  docker info >/dev/null
}

export PATH=$PATH:/usr/sbin:/sbin
mkdir -p .cache
need python3=python3 git=git shellcheck=shellcheck fusermount3=fuse3 cc=tcc  # fuse3, tcc: small, for stand-ins
make_environment
needs=
# Finding out takes as long as some of these tests.
[ "$*" = "-m not docker and not browser and not stack" ] || needs=$(.venv/bin/python tests/support/needs.py "$@")
case " $needs " in *" engine "*)
  need curl=curl sshd=openssh-server debootstrap=debootstrap zstd=zstd nft=nftables ip=iproute2 iptables=iptables \
    docker-registry=docker-registry cpulimit=cpulimit
  make_engine ;;
esac
case " $needs " in *" browser "*) need chromium=chromium ;; esac
case " $needs " in *" images "*)
  say "building images"
  images/build --log .cache/images.log
  images/build --log .cache/images.log collab traefik
  images/build --log .cache/images.log --torch=none lab-ml ;;  # without PyTorch: nobody's tests fetch gigabytes
esac
say "ready for the tests after $((SECONDS - began)) s (${needs:-nothing but Python})"

parallel=(--numprocesses=auto --dist=loadfile)
status=0
if [ $# = 0 ]; then
  # In the order of the folders, for the file that takes longest has one test, and would come last.
  .venv/bin/python -m pytest "${parallel[@]}" --no-loadscope-reorder -m "not (alone or endurance)" || status=$?
  .venv/bin/python -m pytest -m "alone and not endurance" || status=$?
else
  # One more than there are cores: many of these tests wait for something most of the time.
  if [ -z "$needs" ]; then parallel[0]="--numprocesses=$(($(nproc) + 1))"; else parallel=(); fi
  .venv/bin/python -m pytest "${parallel[@]}" "$@" || status=$?
fi
say "./test.sh took $((SECONDS - began)) s"
exit "$status"
