#!/bin/bash
# One command on a fresh machine: engine, images, secrets, services, the first people. Running it again upgrades
# what is not right, changes nothing that is, and never stops a running lab. `./install.sh --help` has the options.
set -Eeuo pipefail

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG=${MLINFN_CONFIG:-$CHECKOUT/config/mlinfn.yaml}
LOG=/var/log/mlinfn-install.log
LINK=/usr/local/bin/mlinfn
ANSWERS=
UNTIL=people
STARTED_AT=$SECONDS
DISK_LEAST_GB=8   # images and what building them takes
export DEBIAN_FRONTEND=noninteractive

# shellcheck source=/dev/null
. "$CHECKOUT/install.d/say.sh"
# shellcheck source=/dev/null
. "$CHECKOUT/install.d/engine.sh"

usage() {
    cat <<EOF
usage: ./install.sh [--config FILE] [--answers FILE] [--no-start | --engine-only]

  --config FILE   settings of the instance (default: \$MLINFN_CONFIG, else config/mlinfn.yaml); a copy of the example
                  is written there if there is none
  --answers FILE  write the settings from the answers in this file, as \`mlinfn init\` does; a copy of others is kept
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
        build_more
        say "Not started, as you asked. Start it with: mlinfn up"
        return
    fi
    step "services" start_services
    step "people" ensure_people
    show_backup_key
    goodbye
    build_more
}

# --- options ---------------------------------------------------------------------------------------------------------

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --config) [ $# -ge 2 ] || { usage >&2; exit 2; }; CONFIG=$2; shift ;;
            --config=*) CONFIG=${1#*=} ;;
            --answers) [ $# -ge 2 ] || { usage >&2; exit 2; }; ANSWERS=$(realpath -m "$2"); shift ;;
            --answers=*) ANSWERS=$(realpath -m "${1#*=}") ;;
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
    local folder free_gb
    folder=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || folder=
    folder=${folder:-/var/lib/docker}
    mkdir -p "$folder"
    free_gb=$(df --output=avail -BG "$folder" | tail -n 1 | tr -dc 0-9)
    if [ "$free_gb" -lt "$DISK_LEAST_GB" ]; then
        refuse "$folder has $free_gb GB free; images and building them take $DISK_LEAST_GB GB." "Free some space,"
    fi
}

# --- 3: the mlinfn command --------------------------------------------------------------------------------------------

ensure_command() {
    local python=$CHECKOUT/.venv/bin/python stamp=$CHECKOUT/.venv/mlinfn-installed wanted
    wanted=$(cd "$CHECKOUT" && cat setup.cfg pyproject.toml images/hub/requirements.txt | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || [ ! -x "$CHECKOUT/.venv/bin/mlinfn" ]; then
        # Whoever was cut off while it was made has left one in which pip is missing, or half there.
        "$python" -m pip install --help >/dev/null 2>&1 || python3 -m venv --clear "$CHECKOUT/.venv"
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
    if [ -n "$ANSWERS" ]; then
        write_settings "$ANSWERS" --force
        say "      wrote $CONFIG from $ANSWERS"
    elif [ ! -e "$CONFIG" ]; then
        write_settings /dev/null
        say "      wrote $CONFIG, a copy of the example"
    fi
    mlinfn config check 2>&1 | say_lines || refuse "The settings are not right." "Mend $CONFIG,"
}

# write_settings FILE [--force]: nobody is asked, since there may be no terminal.
write_settings() {
    mlinfn init --json --answers "$@" 2>&1 >/dev/null | say_lines || refuse "No settings were written." "Mend $1,"
}

ensure_ground() {
    mlinfn prepare 2>&1 | say_lines || refuse "The machine is not ready for the services." "Mend what is said above,"
}

# --- 6: images --------------------------------------------------------------------------------------------------------

ensure_images() {
    python3 -B "$CHECKOUT/images/build" --log "$LOG" 2>&1 | say_lines \
        || refuse "Not all images could be built; more is in $LOG." "Mend what is said above,"
    [ "$(setting tls mode)" = none ] || python3 -B "$CHECKOUT/images/build" --log "$LOG" traefik 2>&1 | say_lines \
        || refuse "The image for TLS could not be built; more is in $LOG." "Mend what is said above,"
}

# What mlinfn.yaml offers besides, such as lab-ml: nobody's first login waits for gigabytes, or for a registry.
build_more() {
    local more
    more=$(offered_besides)
    [ -n "$more" ] || return 0
    say ""
    say "Building what mlinfn.yaml offers besides: $more"
    mlinfn images build 2>&1 | say_lines \
        || say "      Not all of them could be had here; the lines above say why. Later: mlinfn images build"
}

# Our images that members are offered and that the step "images" does not build.
offered_besides() {
    mlinfn images list --json | python3 -c '
import json, sys
images = [each["image"] for each in json.load(sys.stdin) if each["ours"]]
print(", ".join(image for image in images if not image.startswith("mlinfn/lab:")))'
}

# --- 7 and 8: services and people -------------------------------------------------------------------------------------

start_services() {
    mlinfn up 2>&1 | say_lines || refuse "The services are not well." "Mend what is said above (see also: mlinfn logs),"
}

# Passwords go to the screen only: `say` would write them into the log.
ensure_people() {
    case $(setting login) in
        demo) ensure_demo_people ;;
        iam) say "      people come from $(setting iam issuer); whether they can: mlinfn iam check" ;;
        *) ensure_local_people ;;
    esac
}

ensure_local_people() {
    if [ "$(mlinfn users list --json | tr -d ' \n')" != "[]" ]; then
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
    printf '%s' "$answer" | show_people
}

ensure_demo_people() {
    local answer
    answer=$(mlinfn demo passwords --json)
    if [ "$answer" = "[]" ]; then
        say "      the four demo people have passwords already; new ones: mlinfn demo passwords --renew"
    else
        say "      four made-up people, to see what each may do"
        printf '%s' "$answer" | show_people
    fi
}

# People as `mlinfn --json` gives them, one or a list, on the screen.
show_people() {
    python3 -c '
import json, sys
people = json.load(sys.stdin)
for person in people if isinstance(people, list) else [people]:
    print("\n      user name: {name}   {what}\n      password:  {password}   (shown only now)".format(**{"what": "", **person}))
print()' >&3
}

# The key of the backups, on the screen only, the first time.
show_backup_key() {
    local answer
    [ "$(setting backup targets)" != "[]" ] || return 0
    answer=$(mlinfn backup key --json)
    printf '%s' "$answer" | python3 -c '
import json, sys
key = json.load(sys.stdin)["key"]
if key:
    print(f"\n      key of the backups: {key}\n      Put it into a safe; without it nobody reads them. It is shown only now.\n")' >&3
}

# Where people go.
address() {
    local https
    https=$(setting tls port)
    if [ "$(setting tls mode)" = none ]; then
        echo "http://$1:$2"
    elif [ "$https" = 443 ]; then
        echo "https://$1"
    else
        echo "https://$1:$https"
    fi
}

goodbye() {
    local host port
    host=$(setting host)
    port=$(setting port)
    say ""
    say "Ready after $((SECONDS - STARTED_AT)) s: $(address "$host" "$port")"
    if [ "$host" = localhost ]; then
        say "From another computer: ssh -L $port:localhost:$port $(hostname), then open that address there."
    fi
    case $(setting login) in
        demo) say "Log in as one of the demo people. With your own IAM instead: docs/how-to/register-with-iam.md" ;;
        iam) say "Log in through $(setting iam issuer). Whether people can: mlinfn iam check" ;;
        *) say "Log in with a user name and its password. More people: mlinfn users add NAME" ;;
    esac
    say "How it is: mlinfn status"
}

main "$@"
