"""How the measures of `train.py similarity` rank languages whose distance from English is known: an artificial world's.

    python benchmarks/similarity_world.py > benchmarks/similarity_world.md

Trained on two ranks, measured by one process; some minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import yaml
from launch import ROOT, run_study
from scipy import stats

from xstilts.study.similarity.table import Measurement, mean, read

DISTANCES = {f"qa{letter}_Latn": round(0.1 + 0.1 * i, 1) for i, letter in enumerate("abcdefgh")}
NUM_EXAMPLES = 150
CLOSER_IS_MORE = ("embedding_cosine", "cka_english", "fisher_cosine", "chrf", "subword_jaccard", "subword_coverage")
MEASURES = (*CLOSER_IS_MORE, "centroid_distance", "cka_stage")


def recipe() -> dict[str, object]:
    every = ["eng_Latn", *DISTANCES]
    target = {"languages": every, "training": {"steps": 1}}
    sizes = {"num_train": 1500, "num_dev": 20, "num_test": NUM_EXAMPLES, "num_text": 600, "num_bitext": 10}
    shape = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
    return {
        "name": "similarity-world",
        "data": {"world": {"languages": DISTANCES, **sizes}, "max_length": 64, "doc_stride": 32},
        "model": {"config": {**shape, "hidden_dropout_prob": 0.05, "attention_probs_dropout_prob": 0.05}},
        "runtime": {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 2048, "log_every": 100},
        "training": {"steps": 250, "batch_size": 32, "lr": 1e-3},
        "pretraining": [{"tasks": ["mlm_text"], "languages": every, "training": {"steps": 600, "lr": 2e-3}}],
        "arms": {"none": [], "mnli": [{"tasks": ["mnli"]}]},
        "targets": {"xnli": target, "udpos": target},
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        path, run_dir = Path(name) / "recipe.yaml", Path(name) / "run"
        path.write_text(yaml.safe_dump(recipe()), encoding="utf-8")
        print(run_study(path, run_dir, 2, timeout=7200), file=sys.stderr)
        measure = [ROOT / "train.py", "similarity", run_dir, "--examples", NUM_EXAMPLES]
        subprocess.run([sys.executable, *map(str, measure)], check=True, stdout=sys.stderr, cwd=ROOT)
        show(read(run_dir / "similarity.parquet"))


def show(rows: list[Measurement]) -> None:
    page.begin("Similarity of languages whose distance is known", "make proof-similarity")
    nearest, farthest = min(DISTANCES.values()), max(DISTANCES.values())
    print(
        f"""\
An artificial world of {len(DISTANCES)} languages at distances {nearest} to {farthest} from English; a model of three
layers, pretrained on all of them (600 steps), then MNLI (250 steps), on two ranks; one seed. Spearman's rank
correlation of each measure with the distance, between MNLI's English inputs and {NUM_EXAMPLES} texts of each language
in XNLI (translations of each other, the kind of MNLI) and in UDPOS (another kind of text). A measure that knows the
distance has -1 where more is nearer, and 1 where more is farther.
"""
    )
    found = []
    for measure in MEASURES:
        of_measure = [row for row in rows if row.measure == measure and row.language in DISTANCES]
        for weights, layer in dict.fromkeys((row.weights, row.layer) for row in of_measure if row.value is not None):
            own = [row for row in of_measure if (row.weights, row.layer) == (weights, layer)]
            sign = "-1" if measure in CLOSER_IS_MORE else "1" if measure == "centroid_distance" else "?"
            cells = [correlation(own, target) for target in ("xnli", "udpos")]
            found.append([measure, weights or "-", "-" if layer is None else str(layer), sign, *cells])
    page.table(["measure", "weights", "layer", "ideal", "XNLI", "UDPOS"], found)
    print(
        "Layer 0 is the embeddings. `cka_stage` compares the same texts before and after MNLI: what it would be is not"
    )
    print(
        "known beforehand. `-` is missing: the head of MNLI reads no tagging, and UDPOS counts as no translation. The"
    )
    print("Fisher is that of 32 examples of each language under a head that has hardly learnt MNLI.")


def correlation(rows: list[Measurement], target: str) -> str:
    means = [mean(row for row in rows if (row.target, row.language) == (target, key)) for key in DISTANCES]
    if any(value is None for value in means):
        return "-"
    return f"{stats.spearmanr(list(DISTANCES.values()), means).statistic:.2f}"


if __name__ == "__main__":
    main()
