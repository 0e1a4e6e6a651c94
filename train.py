"""The entrypoint: `deepspeed [launcher flags] train.py run RECIPE`, or `python train.py run RECIPE` on one rank.

python train.py plan demo                       what would run
deepspeed --num_gpus 2 train.py run demo        train, score, report
deepspeed --hostfile hostfiles/two_nodes train.py run RECIPE training.lr=3e-5
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "src"))

from xstilts.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
