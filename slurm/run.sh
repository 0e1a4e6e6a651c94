#!/bin/bash
# A study with srun, one task per rank: no ssh between nodes. From the checkout, with `runs/` in it (docs/clusters.md):
#
#   sbatch slurm/run.sh africa                                                   one node
#   sbatch --nodes=2 slurm/run.sh africa runtime.micro_batches_per_step=16       two
#   sbatch --array=1-3 slurm/run.sh africa data.cache=runs/cache                 three lanes, a node each, on one study
#
#SBATCH --job-name=xstilts
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=runs/slurm-%j.out
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH"
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
export MASTER_ADDR MASTER_PORT WORLD_SIZE="$SLURM_NTASKS" LOCAL_WORLD_SIZE="$SLURM_NTASKS_PER_NODE"

# Ranks end within seconds of each other; --wait ends those that a lost one has left waiting. Not --kill-on-bad-exit:
# at the first rank's 75 it would kill the others, and its own code would hide the 75.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=0 --wait=60 \
    bash -c 'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID exec python train.py run "$@"' - "$@" &
srun=$!
# Before the limit SLURM signals this shell alone; SIGTERM (a preemption, scancel) it sends to the ranks itself.
asked=
trap 'interrupted=1 asked=USR1; kill -USR1 "$srun" 2>/dev/null || :' USR1
trap 'interrupted=1 asked=TERM' TERM
until
    interrupted=
    code=0
    wait "$srun" || code=$?
    [ -z "$interrupted" ] # otherwise the code is that of the signal
do :; done
still_running() { squeue --noheader --jobs="$SLURM_JOB_ID" --states=RUNNING | grep -q .; }
# Saved because it was asked to: into the queue again, but not after scancel.
if [ "$code" -eq 75 ] && { [ "$asked" = USR1 ] || { [ "$asked" = TERM ] && still_running; }; }; then
    scontrol requeue "$SLURM_JOB_ID" || echo "not requeued: submit it again, and it continues" >&2
fi
exit "$code"
