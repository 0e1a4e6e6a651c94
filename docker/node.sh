#!/usr/bin/env bash
# node.sh keys NODE...   makes, once, a user key, a host key for each node, and the known_hosts that names them
# node.sh serve          is the node of this host name: sshd on port 2222, for this user alone
# node.sh known-hosts    the host keys to expect, for ssh
# node.sh stop           has this container's ranks save and end, and waits for it; for Kubernetes, which waits in turn
#
# Keys are in the folder $SSH_KEYS: a volume that all nodes share, filled by `keys`, or a Secret with one key pair for a
# whole job, id_rsa, as the MPI operator makes it; that key is then every node's host key too.
set -euo pipefail
umask 077
: "${SSH_KEYS:=/ssh}"

has_a_rank() { tr '\0' '\n' 2>/dev/null <"/proc/$1/environ" | grep -Eq '^(OMPI_COMM_WORLD_)?RANK='; }

# Processes of this container that a launcher gave a rank, but for their own children.
ranks() {
    local pid parent
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        has_a_rank "$pid" || continue
        parent=$(ps -o ppid= -p "$pid") && ! has_a_rank $((parent)) && echo "$pid"
    done 2>/dev/null
    return 0
}

case "${1:-}" in
keys)
    shift
    cd "$SSH_KEYS"
    [[ ! -e known_hosts ]] || exit 0
    ssh-keygen -q -t ed25519 -N '' -C xstilts -f id_ed25519
    cp id_ed25519.pub authorized_keys
    for node in "$@"; do
        ssh-keygen -q -t ed25519 -N '' -C "$node" -f "host_$node"
        echo "[$node]:2222 $(cut -d ' ' -f 1,2 "host_$node.pub")"
    done >known_hosts.new
    mv known_hosts.new known_hosts
    ;;
serve)
    host_key="$SSH_KEYS/host_$(hostname)"
    [[ -e "$host_key" ]] || host_key="$SSH_KEYS/id_rsa"
    # What sshd starts has none of the container's environment but what SetEnv gives it. StrictModes would refuse the
    # folder of a Secret for being open to all users of the container, of whom there is one.
    exec "$(command -v sshd)" -D -e -f /dev/null \
        -o Port=2222 \
        -o HostKey="$host_key" \
        -o AuthorizedKeysFile="$SSH_KEYS/authorized_keys" \
        -o StrictModes=no \
        -o AllowUsers="$(id -un)" \
        -o PasswordAuthentication=no \
        -o KbdInteractiveAuthentication=no \
        -o PidFile=none \
        -o "SetEnv=PATH=$PATH TORCH_EXTENSIONS_DIR=${TORCH_EXTENSIONS_DIR:-} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} XSTILTS_DATA=${XSTILTS_DATA:-}"
    ;;
known-hosts)
    if [[ -e "$SSH_KEYS/known_hosts" ]]; then
        cat "$SSH_KEYS/known_hosts"
    else
        echo "* $(cut -d ' ' -f 1,2 "$SSH_KEYS/id_rsa.pub")"
    fi
    ;;
stop)
    asked=$(ranks)
    for pid in $asked; do kill -USR1 "$pid" || :; done
    for pid in $asked; do
        while has_a_rank "$pid"; do sleep 1; done
    done
    ;;
*)
    echo "usage: node.sh keys NODE... | serve | known-hosts | stop" >&2
    exit 2
    ;;
esac
