# shellcheck shell=bash
# Part of install.sh: packages from the distribution's archive, and the Docker Engine, found or installed.

ENGINE_LEAST=23   # the first with a BuildKit that knows named build contexts

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
