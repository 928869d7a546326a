#!/usr/bin/env bash
# A small Ray cluster on this machine (Linux), to try `submit` and to test against: a head that takes no trials and
# worker nodes that do, with token authentication, in a folder of its own. cluster/README.md says what Ray exposes.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: cluster/local.sh up [N] [--cpus C] [--num-gpus G] [--token-file FILE]   a head and N worker nodes (2, of 1 CPU each)
       cluster/local.sh add [--cpus C] [--num-gpus G]                          one more worker node joins
       cluster/local.sh env                                                    the export lines again
       cluster/local.sh down                                                   stop what `up` and `add` started

GPUs are logical: trials are counted by them, none is needed. $VAE_SEARCH_LOCAL_CLUSTER is the state folder (else
/tmp/vae-local-UID), $PYTHON the Python whose Ray is used (else the one of .venv, else python3).

example: eval "$(cluster/local.sh up 2)" && vae-search submit search_spaces/digits.yaml --address "$VAE_SEARCH_ADDRESS"
TEXT
}

fail() {
  printf 'cluster/local.sh: %s\n' "$@" >&2
  exit 4
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=${VAE_SEARCH_LOCAL_CLUSTER:-/tmp/vae-local-$UID}
[[ $state == /* ]] || state=$PWD/$state
python=${PYTHON:-}
if [[ -z $python ]]; then
  python=python3
  [[ -x $here/../.venv/bin/python ]] && python=$here/../.venv/bin/python
fi

# Not 127.0.0.1, in whose place Ray puts the machine's outer address; 127.0.0.2 is the loopback as well.
node_ip=127.0.0.2
object_store_bytes=$((512 * 1024 * 1024)) # of one node; memory is taken only when something lies in it

# --- Processes: every process of a node carries the node's name in its environment, the ones that Ray starts later as
# well (SPT_NOENV keeps Ray from writing their titles over it). So nothing else is ever stopped, even if a recorded pid
# has been given to another process meanwhile.

pids_of() { # NODE, or nothing for all nodes
  local exactly=() file
  [[ -n ${1:-} ]] && exactly=(-x)
  { grep -slzF "${exactly[@]}" -e "VAE_SEARCH_LOCAL_NODE=$state/${1:-}" /proc/[0-9]*/environ || true; } |
    while IFS=/ read -r _ _ file _; do echo "$file"; done
}

send() { # SIGNAL PID...
  local signal=$1 pid
  shift
  for pid in "$@"; do kill "-$signal" "$pid" 2>/dev/null || true; done
}

# --- Starting

free_ports() { # HOW_MANY distinct ports that nobody listens on
  "$python" - "$1" <<'CODE'
import socket, sys
held = [socket.create_server(("", 0)) for _ in range(int(sys.argv[1]))]
print(*(server.getsockname()[1] for server in held))
CODE
}

start_node() { # NAME, then options of `ray start`
  local name=$1 agent_port
  shift
  # A folder for each node, as on machines of their own: nodes that share one remove each other's unpacked packages.
  mkdir -p "$(<"$state/ray-folder")/$name"
  agent_port=$(free_ports 1)
  # Worker ports of zero are drawn by the system: with Ray's default range, nodes of one machine would collide.
  if ! env -u RAY_ADDRESS -u RAY_API_SERVER_ADDRESS -u RAY_AUTH_TOKEN \
    VAE_SEARCH_LOCAL_NODE="$state/$name" SPT_NOENV=1 \
    RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$state/token" \
    RAY_TMPDIR="$(<"$state/ray-folder")/$name" RAY_USAGE_STATS_ENABLED=0 \
    PATH="$(dirname "$(command -v "$python")"):$PATH" \
    "$python" -m ray.scripts.scripts start "$@" \
    --node-ip-address "$node_ip" --min-worker-port 0 --max-worker-port 0 \
    --dashboard-agent-listen-port "$agent_port" --object-store-memory "$object_store_bytes" \
    --disable-usage-stats --log-color false </dev/null >"$state/$name.log" 2>&1; then
    tail -n 5 "$state/$name.log" >&2
    pids_of "$name" >"$state/nodes/$name"
    fail "node $name did not start; the last lines of its log are above"
  fi
  pids_of "$name" >"$state/nodes/$name"
}

add_worker() {
  local number=1
  while [[ -e $state/nodes/worker-$number ]]; do number=$((number + 1)); done
  start_node "worker-$number" --address "$(<"$state/gcs-address")" --num-cpus "$cpus" --num-gpus "$gpus"
}

print_env() {
  cat <<TEXT
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH=$(printf '%q' "$state/token")
export VAE_SEARCH_ADDRESS=$(<"$state/dashboard-address")
export VAE_SEARCH_GCS_ADDRESS=$(<"$state/gcs-address")
# from outside: vae-search submit SPEC --address \$VAE_SEARCH_ADDRESS
# from inside:  vae-search run SPEC --address \$VAE_SEARCH_GCS_ADDRESS
TEXT
}

up() {
  (umask 077 && mkdir -p "$state")
  [[ -O $state ]] || fail "$state belongs to somebody else; set VAE_SEARCH_LOCAL_CLUSTER to a folder of your own"
  mkdir -m 700 "$state/nodes" 2>/dev/null ||
    fail "a cluster is up already (state in $state)" "stop it with: cluster/local.sh down"
  trap 'stop_all' ERR EXIT # until everything is up
  local ports
  (
    umask 077
    if [[ -n $token_file ]]; then
      cat -- "$token_file" >"$state/token"
    else
      "$python" -c 'import secrets; print(secrets.token_hex(32), end="")' >"$state/token"
    fi
    # Short, because Ray puts sockets below it and a socket's path may have 107 bytes only.
    mktemp -d /tmp/vae-ray.XXXXXX >"$state/ray-folder"
  )
  read -r -a ports <<<"$(free_ports 3)"
  echo "$node_ip:${ports[0]}" >"$state/gcs-address"
  echo "http://127.0.0.1:${ports[1]}" >"$state/dashboard-address"
  start_node head --head --num-cpus 0 --num-gpus 0 --port "${ports[0]}" \
    --include-dashboard true --dashboard-host 127.0.0.1 --dashboard-port "${ports[1]}" \
    --ray-client-server-port "${ports[2]}"
  local number
  for ((number = 0; number < count; number++)); do add_worker; done
  trap - ERR EXIT
  print_env
}

# --- Stopping

stop_all() {
  local pids tries
  mapfile -t pids < <(pids_of)
  send TERM "${pids[@]}"
  for ((tries = 0; tries < 50; tries++)); do
    mapfile -t pids < <(pids_of)
    ((${#pids[@]} == 0)) && break
    ((tries < 20)) || send KILL "${pids[@]}"
    sleep 0.1
  done
  ((${#pids[@]} == 0)) || fail "processes ${pids[*]} do not end; the state folder $state is kept"
  local folder
  folder=$(cat "$state/ray-folder" 2>/dev/null || true)
  [[ $folder == /tmp/vae-ray.* ]] && rm -rf -- "$folder"
  rm -rf -- "$state/nodes"
  rm -f -- "$state"/{token,ray-folder,gcs-address,dashboard-address} "$state"/{head,worker-*}.log
  rmdir -- "$state" 2>/dev/null || true # what is not ours stays
}

must_be_up() {
  [[ -d $state/nodes ]] || fail "no cluster is up (no state in $state)" "start one with: cluster/local.sh up"
}

command=${1:-}
[[ $# -gt 0 ]] && shift
count=2 cpus=1 gpus=0 token_file=
while (($#)); do
  case $1 in
    --cpus | --num-gpus | --token-file)
      (($# > 1)) || fail "$1 needs a value"
      case $1 in --cpus) cpus=$2 ;; --num-gpus) gpus=$2 ;; *) token_file=$2 ;; esac
      shift
      ;;
    *)
      [[ $command == up && $1 =~ ^[0-9]+$ ]] || { usage >&2; exit 2; }
      count=$1
      ;;
  esac
  shift
done
[[ $cpus =~ ^[0-9]+$ && $gpus =~ ^[0-9]+$ ]] || fail "--cpus and --num-gpus are whole numbers, found '$cpus' and '$gpus'"
[[ -z $token_file || -s $token_file ]] || fail "--token-file must be a file with a token in it, found '$token_file'"

case $command in
  up) up ;;
  add) must_be_up && add_worker ;;
  env) must_be_up && print_env ;;
  down) must_be_up && stop_all ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
