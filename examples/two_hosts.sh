#!/bin/bash
# Train on two hosts, which here are two network namespaces of this machine, joined by a cable of their own (Linux, as root).
#   bash examples/two_hosts.sh [arguments of train.py]
# With CUT=seconds the cable is cut after so long: both hosts then end with an error within the timeout.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
a=charrnn-a-$$ b=charrnn-b-$$
clean() { ip netns del "$a" 2>/dev/null || true; ip netns del "$b" 2>/dev/null || true; }
trap clean EXIT
ip netns add "$a"
ip netns add "$b"
ip link add va netns "$a" type veth peer name vb netns "$b"
ip -n "$a" addr add 10.77.0.1/24 dev va
ip -n "$b" addr add 10.77.0.2/24 dev vb
for o in "$a va" "$b vb"; do ip -n "${o% *}" link set lo up; ip -n "${o% *}" link set "${o#* }" up; done

# what is typed on each host: all alike but for --node-rank, and the name of the network card that reaches the other
host() { # namespace card rank arguments…
    local ns=$1 card=$2 rank=$3; shift 3
    ip netns exec "$ns" env GLOO_SOCKET_IFNAME="$card" NCCL_SOCKET_IFNAME="$card" OMP_NUM_THREADS=1 \
        torchrun --nnodes 2 --node-rank "$rank" --nproc-per-node 1 --master-addr 10.77.0.1 --master-port 29500 "$here/train.py" "$@"
}
host "$a" va 0 "$@" & first=$!
host "$b" vb 1 "$@" & second=$!
if [ -n "${CUT:-}" ]; then sleep "$CUT"; ip -n "$a" link set va down; echo "cable cut"; fi
failed=0
wait $first || failed=$?
wait $second || failed=$?
exit $failed
