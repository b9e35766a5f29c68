# shellcheck shell=bash
# Part of install.sh: what people see, what the log keeps, and what is said when something fails.

STEPS=8
STEP=0
STEP_NAME="reading the command line"
REMEDY=""

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
