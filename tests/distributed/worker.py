"""What a rank of a training run does, in small: beats, trains a toy model with DeepSpeed over gloo, writes checkpoints.

`worker.py FOLDER STEPS STAGE [FAULT]`, started by the launchers under test; rank 0 prints the losses as JSON. FAULT is
`full` (the disk is full at step 5), `hang` (rank 1's main thread stops at step 5) or `raise`.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from xstilts.cluster.exit_codes import EXIT_OK, EXIT_PREEMPTED, exit_code_of
from xstilts.cluster.heartbeat import Heartbeat


def main(folder: Path, steps: int, stage: int, fault: str) -> int:
    with Heartbeat(stack_dir=folder / "stacks") as heartbeat:
        import deepspeed
        import torch
        import torch.distributed as dist

        torch.set_num_threads(1)
        torch.manual_seed(0)
        deepspeed.init_distributed("gloo", timeout=timedelta(minutes=10), verbose=False)
        rank, world = dist.get_rank(), dist.get_world_size()
        (folder / f"pid{rank}").write_text(f"{os.getpid()} {os.uname().nodename}")
        model = torch.nn.Linear(8, 8)
        engine, *_ = deepspeed.initialize(
            model=model,
            optimizer=torch.optim.AdamW(model.parameters(), lr=0.01),
            config={
                "train_micro_batch_size_per_gpu": 4 // world,
                "zero_optimization": {"stage": stage},
                "zero_allow_untested_optimizer": True,
                "gradient_clipping": 0.0,
            },
        )
        first = 0
        if (saved := folder / "latest").exists():
            first = int(saved.read_text())
            engine.load_checkpoint(str(folder), tag=f"step{first}")
        losses = []
        code = EXIT_OK
        for step in range(first, steps):
            inputs = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
            mine = inputs[rank * 4 // world : (rank + 1) * 4 // world]
            loss = (engine(mine) ** 2).mean()
            engine.backward(loss)
            engine.step()
            mean = loss.detach().clone()
            dist.all_reduce(mean)
            losses.append(round(mean.item() / world, 6))
            heartbeat.progress(step=step, phase="train")
            if step == 5 and fault:
                misbehave(fault, rank)
            if step % 4 == 3:
                engine.save_checkpoint(str(folder), tag=f"step{step + 1}", save_latest=False)
                if rank == 0:
                    saved.write_text(str(step + 1))
                heartbeat.saved(folder / f"step{step + 1}")
            preempted = torch.tensor(int(heartbeat.preemption_requested))
            dist.all_reduce(preempted)
            if preempted:
                code = EXIT_PREEMPTED
                break
            if steps > 50:
                time.sleep(0.2)
        dist.barrier()
        dist.destroy_process_group()
        if rank == 0:
            print(json.dumps({"losses": losses, "world": world, "argv": sys.argv[4:]}), flush=True)
        heartbeat.close(code)
        return code


def misbehave(fault: str, rank: int) -> None:
    if fault == "full" and rank == 0:
        raise OSError(errno.ENOSPC, "No space left on device")
    if fault == "raise" and rank == 1:
        raise ValueError("loss is not a number")
    if fault == "hang" and rank == 1:
        time.sleep(1000)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "".join(sys.argv[4:5])))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(exit_code_of(error))
