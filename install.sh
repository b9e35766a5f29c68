#!/bin/bash
# One command on a fresh machine: engine, images, secrets, services, the first two people. Running it again upgrades
# what is not right, changes nothing that is, and never stops a running lab. `./install.sh --help` has the options.
set -Eeuo pipefail

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG=${MLINFN_CONFIG:-$CHECKOUT/config/mlinfn.yaml}
LOG=/var/log/mlinfn-install.log
LINK=/usr/local/bin/mlinfn
STEPS=8
STEP=0
STEP_NAME="reading the command line"
REMEDY=""
UNTIL=people
STARTED_AT=$SECONDS
ENGINE_LEAST=23   # the first with a BuildKit that knows named build contexts
DISK_LEAST_GB=8   # images and what building them takes
export DEBIAN_FRONTEND=noninteractive

usage() {
    cat <<EOF
usage: ./install.sh [--config FILE] [--no-start | --engine-only]

  --config FILE   settings of the instance (default: \$MLINFN_CONFIG, else config/mlinfn.yaml); a copy of the example
                  is written there if there is none
  --no-start      everything but starting the services and adding people
  --engine-only   only the Docker Engine and what building images needs

Needs root on Debian 12 or 13 (Ubuntu 22.04 and 24.04 should do). Keeps a log in $LOG.
EOF
}

main() {
    read_options "$@"
    open_log
    trap 'failed $? "$BASH_COMMAND"' ERR
    step "this machine" check_machine
    step "Docker Engine" ensure_engine
    [ "$UNTIL" != engine ] || return 0
    step "the mlinfn command" ensure_command
    step "settings" ensure_settings
    step "folders and secrets" ensure_ground
    step "images" ensure_images
    if [ "$UNTIL" = images ]; then
        say "Not started, as you asked. Start it with: mlinfn up"
        return
    fi
    step "services" start_services
    step "people" ensure_people
    goodbye
}

# --- saying what happens ----------------------------------------------------------------------------------------------

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --config) [ $# -ge 2 ] || { usage >&2; exit 2; }; CONFIG=$2; shift ;;
            --config=*) CONFIG=${1#*=} ;;
            --no-start) UNTIL=images ;;
            --engine-only) UNTIL=engine ;;
            -h | --help) usage; exit 0 ;;
            *) echo "install.sh knows no $1." >&2; usage >&2; exit 2 ;;
        esac
        shift
    done
    CONFIG=$(realpath -m "$CONFIG")
    export MLINFN_CONFIG=$CONFIG
    if [ "$(id -u)" != 0 ]; then
        echo "install.sh installs packages and makes folders for other users: run it as root (sudo ./install.sh)." >&2
        exit 1
    fi
}

# Commands speak into the log; people see what `say` says, on descriptor 3.
open_log() {
    (umask 077; touch "$LOG")
    chmod 600 "$LOG"
    exec 3>&1 >>"$LOG" 2>&1
    echo "=== $(date --iso-8601=seconds) $CHECKOUT $CONFIG"
}

say() {
    printf '%s\n' "$*" >&3
    printf '%s\n' "$*"
}

say_lines() {
    local line
    while IFS= read -r line; do say "      $line"; done
}

step() {
    STEP=$((STEP + 1))
    STEP_NAME=$1
    REMEDY=""
    say "[$STEP/$STEPS] $1"
    "$2"
}

# For what cannot go on: the reason, and what to do about it.
refuse() {
    say "      $1"
    REMEDY=$2
    false
}

failed() {
    local status=$1 command=$2
    [ "$BASHPID" = $$ ] || exit "$status"   # a part of a pipeline: the whole of it reports
    trap - ERR
    printf '\nStep %s of %s (%s) failed' "$STEP" "$STEPS" "$STEP_NAME" >&3
    if [ -z "$REMEDY" ]; then
        printf ': %s\nThe last lines of %s:\n' "${command%%$'\n'*}" "$LOG" >&3
        tail -n 15 "$LOG" | cut -c1-200 | sed 's/^/    /' >&3
    else
        printf '.\n' >&3
    fi
    printf 'What to do: %s\n' "${REMEDY:-mend what the lines above say,} then run ./install.sh again; it goes on from here." >&3
    exit "$status"
}

# Lines with a rising percentage become one line for each fifth; reads "NUMBER text".
say_percent() {
    local number rest shown=0
    while read -r number rest; do
        number=${number%%.*}
        if [ "$number" -ge $((shown + 20)) ] && [ "$number" -lt 100 ]; then
            shown=$((number / 20 * 20))
            say "      $(printf '%3d %%' "$shown")  $rest"
        fi
    done
}

# --- 1: this machine --------------------------------------------------------------------------------------------------

check_machine() {
    # shellcheck source=/dev/null
    . /etc/os-release
    case "$ID-${VERSION_ID:-}" in
        debian-12 | debian-13 | ubuntu-22.04 | ubuntu-24.04) say "      $PRETTY_NAME, $(nproc) cores" ;;
        *) say "      $PRETTY_NAME is not one that this was tried on (Debian 12, 13; Ubuntu 22.04, 24.04). Going on." ;;
    esac
    check_disk
    apt_install python3-venv ca-certificates debootstrap
}

check_disk() {
    local free_gb
    mkdir -p /var/lib/docker
    free_gb=$(df --output=avail -BG /var/lib/docker | tail -n 1 | tr -dc 0-9)
    if [ "$free_gb" -lt "$DISK_LEAST_GB" ]; then
        refuse "/var/lib/docker has $free_gb GB free; images and building them take $DISK_LEAST_GB GB." "Free some space,"
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

# Installs what of the packages is missing; a name may end in /SUITE.
apt_install() {
    local name missing=()
    for name in "$@"; do
        is_installed "${name%%/*}" || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "      installing ${missing[*]}"
    apt-get update -q
    { apt-get install -y -q --no-install-recommends -o APT::Status-Fd=4 -o Dpkg::Use-Pty=0 "${missing[@]}" \
        4>&1 >>"$LOG" 2>&1 </dev/null | apt_percent | say_percent; }
}

# "dlstatus:1:20.3:Retrieving ..." and "pmstatus:pkg:40.1:Unpacking ..." count from 0 to 100 each.
apt_percent() {
    awk -F: '$1 == "dlstatus" { print int($3 / 2), "downloading"; fflush() }
             $1 == "pmstatus" { print int(50 + $3 / 2), $4; fflush() }'
}

# --- 2: Docker Engine -------------------------------------------------------------------------------------------------

ensure_engine() {
    if command -v dockerd >/dev/null || { command -v docker >/dev/null && docker info >/dev/null 2>&1; }; then
        start_engine
        check_found_engine
    else
        configure_engine
        install_engine
        start_engine
    fi
    say "      Engine $(docker version --format '{{.Server.Version}}'), Compose $(docker compose version --short)"
}

# Before the first start, so that it is right from the beginning. A file that is there is the site's.
configure_engine() {
    mkdir -p /etc/docker /etc/cdi
    [ ! -e /etc/docker/daemon.json ] || return 0
    cat >/etc/docker/daemon.json <<'EOF'
{
  "live-restore": true,
  "features": {"cdi": true},
  "cdi-spec-dirs": ["/etc/cdi", "/var/run/cdi"],
  "log-driver": "json-file",
  "log-opts": {"max-size": "10m", "max-file": "3"}
}
EOF
}

install_engine() {
    # shellcheck source=/dev/null
    . /etc/os-release
    case "$ID-${VERSION_ID:-}" in
        debian-12)
            add_next_debian
            apt_install iptables docker.io/trixie docker-cli/trixie docker-buildx/trixie docker-compose/trixie
            ;;
        ubuntu-*) apt_install iptables docker.io docker-buildx docker-compose-v2 ;;
        *) apt_install iptables docker.io docker-cli docker-buildx docker-compose ;;
    esac
}

# Debian 12's own engine has neither CDI nor Compose v2. Debian 13's is taken, and at this pin nothing else from there.
add_next_debian() {
    local main
    main=$(cd "$CHECKOUT/images" && python3 -B -c 'import machine; print(machine.archive()[0])')
    printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' \
        "$main" /usr/share/keyrings/debian-archive-keyring.gpg >/etc/apt/sources.list.d/mlinfn-trixie.sources
    printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' >/etc/apt/preferences.d/mlinfn-trixie
    say "      Debian 12's engine is too old: taking Debian 13's, and nothing else from there"
}

start_engine() {
    docker info >/dev/null 2>&1 && return
    if [ -d /run/systemd/system ]; then
        systemctl enable --now docker
    else
        rm -f /var/run/docker.pid
        setsid dockerd >/var/log/dockerd.log 2>&1 3>&- </dev/null &
    fi
    wait_for_engine
}

wait_for_engine() {
    local left=60
    until docker info >/dev/null 2>&1; do
        left=$((left - 1))
        if [ "$left" = 0 ]; then
            tail -n 20 /var/log/dockerd.log 2>/dev/null || journalctl -n 20 -u docker --no-pager || true
            refuse "The Docker Engine did not start within a minute." "See /var/log/dockerd.log or journalctl -u docker,"
        fi
        sleep 1
    done
}

# An engine that was here before us is the site's: what it lacks is said, and left as it is.
check_found_engine() {
    local version
    version=$(docker version --format '{{.Server.Version}}')
    if [ "${version%%.*}" -lt "$ENGINE_LEAST" ]; then
        refuse "The Docker Engine here is $version; $ENGINE_LEAST or newer is needed." "Upgrade it (labs stop with it),"
    fi
    ensure_plugin buildx docker-buildx-plugin docker-buildx
    ensure_plugin compose docker-compose-plugin docker-compose-v2 docker-compose
    if [ "$(docker info --format '{{.LiveRestoreEnabled}}')" != true ]; then
        say '      note: "live-restore" is off in /etc/docker/daemon.json: restarting Docker stops all labs'
    fi
    # Engines from 28 on have it without being told.
    if [ "${version%%.*}" -lt 28 ] && ! grep -qs '"cdi": *true' /etc/docker/daemon.json; then
        say '      note: "features": {"cdi": true} is not in /etc/docker/daemon.json: GPUs by CDI are off'
    fi
}

# ensure_plugin NAME PACKAGE...: the first of the packages that apt can add without touching the engine.
ensure_plugin() {
    local plugin=$1 package
    shift
    docker "$plugin" version >/dev/null 2>&1 && return
    apt-get update -q
    for package in "$@"; do
        if apt-get install -s -q --no-install-recommends "$package" >/tmp/mlinfn-plan.$$ 2>&1 \
            && ! grep -Eq '^(Inst|Remv) (docker\.io|docker-ce|docker-cli|docker-ce-cli|containerd|containerd\.io|runc) ' \
                /tmp/mlinfn-plan.$$; then
            rm -f /tmp/mlinfn-plan.$$
            apt_install "$package"
            return
        fi
    done
    rm -f /tmp/mlinfn-plan.$$
    refuse "Docker has no \`docker $plugin\` here, and no package adds it without changing the engine." "Install it,"
}

# --- 3: the mlinfn command --------------------------------------------------------------------------------------------

ensure_command() {
    local python=$CHECKOUT/.venv/bin/python stamp=$CHECKOUT/.venv/mlinfn-installed wanted
    [ -x "$python" ] || python3 -m venv "$CHECKOUT/.venv"
    wanted=$(cd "$CHECKOUT" && cat setup.cfg pyproject.toml images/hub/requirements.txt | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || [ ! -x "$CHECKOUT/.venv/bin/mlinfn" ]; then
        pip_install "$python"
        printf '%s\n' "$wanted" >"$stamp"
    fi
    link_command
    say "      $("$CHECKOUT/.venv/bin/mlinfn" --version), linked as $LINK"
}

# The versions of the hub's image, so that command and hub read settings alike.
pip_install() {
    local packages
    packages=$(grep -c '==' "$CHECKOUT/images/hub/requirements.txt")
    say "      installing Python packages"
    "$1" -m pip install --no-input --disable-pip-version-check -c "$CHECKOUT/images/hub/requirements.txt" \
        -e "$CHECKOUT" 2>&1 </dev/null | tee -a "$LOG" \
        | awk -v all="$packages" '/^ *(Collecting|Requirement already)/ { n++; print int(90 * n / all), $2; fflush() }' \
        | say_percent
}

# A link that another checkout made, and that works, belongs to the instance that runs from there.
link_command() {
    local target=$CHECKOUT/.venv/bin/mlinfn
    if [ -L "$LINK" ] && [ "$(readlink "$LINK")" != "$target" ] && [ -x "$LINK" ]; then
        say "      note: $LINK is $(readlink "$LINK"); for this checkout, use $target"
        return
    fi
    [ "$(readlink "$LINK" 2>/dev/null)" = "$target" ] || ln -sfn "$target" "$LINK"
}

mlinfn() {
    "$CHECKOUT/.venv/bin/mlinfn" "$@"
}

# setting PATH...: one value of the resolved settings.
setting() {
    mlinfn config show --json | python3 -c '
import functools, json, sys
print(functools.reduce(lambda found, key: found[key], sys.argv[1:], json.load(sys.stdin)))' "$@"
}

# --- 4 and 5: settings, folders and secrets ---------------------------------------------------------------------------

ensure_settings() {
    if [ ! -e "$CONFIG" ]; then
        mkdir -p "$(dirname "$CONFIG")"
        cp "$CHECKOUT/config/mlinfn.yaml" "$CONFIG"
        say "      wrote $CONFIG, a copy of the example"
    fi
    mlinfn config check 2>&1 | say_lines || refuse "The settings are not right." "Mend $CONFIG,"
}

ensure_ground() {
    mlinfn prepare 2>&1 | say_lines || refuse "The machine is not ready for the services." "Mend what is said above,"
}

# --- 6: images --------------------------------------------------------------------------------------------------------

ensure_images() {
    python3 -B "$CHECKOUT/images/build" --log "$LOG" 2>&1 | say_lines \
        || refuse "Not all images could be built; more is in $LOG." "Mend what is said above,"
}

# --- 7 and 8: services and people -------------------------------------------------------------------------------------

start_services() {
    mlinfn up 2>&1 | say_lines || refuse "The services are not well." "Mend what is said above (see also: mlinfn logs),"
}

# Passwords go to the screen only: `say` would write them into the log.
ensure_people() {
    if [ "$(setting login)" != local ]; then
        say "      people come from elsewhere: login is $(setting login)"
    elif [ "$(mlinfn users list --json | tr -d ' \n')" != "[]" ]; then
        say "      there already; a new one: mlinfn users add NAME"
    else
        add_person keeper --admin
        add_person member
    fi
}

add_person() {
    local answer
    say "      adding $1"
    answer=$(mlinfn users add "$@" --json)
    printf '%s' "$answer" | python3 -c '
import json, sys
person = json.load(sys.stdin)
print(f"\n      user name: {person[\"name\"]}\n      password:  {person[\"password\"]}   (shown only now)\n")' >&3
}

goodbye() {
    local host port
    host=$(setting host)
    port=$(setting port)
    say ""
    say "Ready after $((SECONDS - STARTED_AT)) s: http://$host:$port"
    if [ "$host" = localhost ]; then
        say "From another computer: ssh -L $port:localhost:$port $(hostname), then open that address there."
    fi
    say "Log in with a user name and its password. How it is: mlinfn status. More people: mlinfn users add NAME"
}

main "$@"
