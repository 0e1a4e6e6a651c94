#!/usr/bin/env bash
# node.sh keys NODE...   makes, once, a user key, a host key for each node, and the known_hosts that names them
# node.sh serve          is the node of this host name: sshd on port 2222, for this user alone
#
# Both use the folder $SSH_KEYS, a volume that all nodes share.
set -euo pipefail
umask 077
cd "${SSH_KEYS:=/ssh}"

case "${1:-}" in
keys)
    shift
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
    # What sshd starts has none of the container's environment but what SetEnv gives it.
    exec "$(command -v sshd)" -D -e -f /dev/null \
        -o Port=2222 \
        -o HostKey="$SSH_KEYS/host_$(hostname)" \
        -o AuthorizedKeysFile="$SSH_KEYS/authorized_keys" \
        -o AllowUsers="$(id -un)" \
        -o PasswordAuthentication=no \
        -o KbdInteractiveAuthentication=no \
        -o PidFile=none \
        -o "SetEnv=PATH=$PATH TORCH_EXTENSIONS_DIR=${TORCH_EXTENSIONS_DIR:-} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} XSTILTS_DATA=${XSTILTS_DATA:-}"
    ;;
*)
    echo "usage: node.sh keys NODE... | node.sh serve" >&2
    exit 2
    ;;
esac
