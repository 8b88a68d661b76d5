"""Reproduce a published model card: train as it says, export, and compare with what it states and with SetFit.

    python -m benchmarks.card                      # loss of step 1, of the steps 2 to 50, and the right answers
    python -m benchmarks.card --seeds 42 1 2       # with several seeds; OUT/checkpoint and OUT/bundle are the first's
    python -m benchmarks.card --against-setfit     # SetFit as well, in turns: seconds, memory, the ratio
    python -m benchmarks.card --no-dropout         # nothing is random: against SetFit's own log, step by step

OUT/checkpoint and OUT/bundle are what the other benchmarks take. CARD holds `train.jsonl`, the labelled rows,
`golden.json`, what the card states, and for --no-dropout `golden_no_dropout.json`, what SetFit logged. Neither it nor
BASE and TEXTS are in the repository: they are looked for in the folder that SETFUSE_SHARED names, or in `shared`.
"""

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from setfuse.runtime import Classifier, Precision, SetfuseError, evaluate, read_rows, require_extra

from ._environment import environment, noise, usable_cores, usage
from ._environments import ENVIRONMENTS, python_for
from ._errors import BenchmarkError
from ._files import check_writable, read_json, write_json
from ._training import (
    Against,
    Card,
    CardFigures,
    Order,
    Stepwise,
    StepwiseFigures,
    TrainingRun,
    Who,
    compare_runs,
    compare_steps,
    losses_table,
    read_card,
    run_training,
)

SCHEMA_VERSION = 2

SETFIT_ON_A_CPU = CardFigures(step_1=0.2059, mean_2_to_50=0.0902, accuracy=1583 / 1821, texts=1821)
"""SetFit 1.2.0 on the card's rows and bge-small-en-v1.5, seed 42, torch 2.13.0 on two cores: the card was trained on a
GPU, where dropout draws other masks. `--against-setfit` measures it again."""

TRAINED_ON = {
    "train": "478d0e87a5cf5c5afa3565c066ed0846963fb7a1c9c893b46bc9b40e1d185abb",
    "texts": "385b4ceb39b57110eb11bc2cbda46ad6258506757ca9f7c3f507435bb8c67fe5",
    "base": "7729f2cb94ad5e3d954f8c1f9a84f1c995b33bc843a353de5cc6a77caea7544d",
}
"""SHA-256 of the files that `SETFIT_ON_A_CPU` is of: the rows, the test texts, the base model's weights."""

RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True, slots=True)
class Trained:
    """Every training of one run of this program.

    Attributes:
        ours: One a seed.
        theirs: SetFit's, one a seed; none if it was not asked for.
    """

    ours: list[TrainingRun]
    theirs: list[TrainingRun]

    @property
    def against(self) -> Against | None:
        """SetFit's over ours; None if it was not asked for."""
        return compare_runs(self.ours, self.theirs) if self.theirs else None


def train_all(order: Order, seeds: Sequence[int], *, against_setfit: bool) -> Trained:
    """Train with every seed, ours and, if wanted, SetFit's in turns, first the one, then the other.

    Args:
        order: What to train; its `out` is the folder of the checkpoints, `checkpoint` of the first seed and
            `checkpoint-SEED` of the others.
        seeds: One a round.
        against_setfit: Train with SetFit as well.

    Raises:
        BenchmarkError: A training failed, or SetFit's has another torch than ours.
    """
    runs: dict[Who, list[TrainingRun]] = {Who.SETFUSE: [], Who.SETFIT: []}
    for number, seed in enumerate(seeds):
        turns = [Who.SETFUSE, Who.SETFIT] if against_setfit else [Who.SETFUSE]
        for who in turns if number % 2 == 0 else reversed(turns):
            ours = "checkpoint" if number == 0 else f"checkpoint-{seed}"
            place = order.out / (ours if who is Who.SETFUSE else "setfit")
            runs[who].append(run_training(who, replace(order, out=place, seed=seed)))
            print(f"{who}, seed {seed}: {runs[who][-1].seconds:.1f} s", file=sys.stderr)
        if against_setfit:
            compare_runs(runs[Who.SETFUSE], runs[Who.SETFIT])  # what cannot be compared is told after one round
    return Trained(runs[Who.SETFUSE], runs[Who.SETFIT])


def export_all(checkpoint: Path, bundle: Path, texts: Path) -> dict[str, float | None]:
    """Export every precision, and give the accuracies: torch's `checkpoint`, and each graph's."""
    from setfuse.export import export

    # On texts of the card's domain, so that the bundle's parity says what a user of the card would see.
    manifest = export(checkpoint, bundle, list(Precision), check_on=texts, overwrite=True, progress=True)
    accuracies: dict[str, float | None] = {"checkpoint": read_json(checkpoint / "training.json").get("accuracy")}
    for variant in manifest.variants:
        if variant.precision is Precision.FP16:  # runs on CUDA only: what the export compared on the processor stands
            accuracies["fp16"] = variant.parity.accuracy if variant.parity else None
        else:
            with_precision = Classifier.load(bundle, device="cpu", precision=variant.precision)
            accuracies[str(variant.precision)] = evaluate(with_precision, read_rows(texts)).accuracy
    return accuracies


def train_without_dropout(order: Order) -> dict[str, TrainingRun]:
    """Train with no dropout, on distinct texts and on both sides of every pair, logging each step."""
    base = without_dropout(order.base, order.out / "base-without-dropout")
    quiet = replace(order, base=base, out=order.out / "checkpoint-without-dropout", each_step=True)
    return {
        "distinct texts": run_training(Who.SETFUSE, quiet),
        "both sides of every pair": run_training(Who.SETFUSE, replace(quiet, both_sides=True)),
    }


def without_dropout(base: Path, folder: Path) -> Path:
    """Copy a base model, its dropout rates set to 0.

    Raises:
        BenchmarkError: It has none of BERT's rates.
    """
    shutil.copytree(base, folder, dirs_exist_ok=True)
    config = read_json(folder / "config.json")
    if not all(rate in config for rate in RATES):
        raise BenchmarkError(f"{base}/config.json: expected {' and '.join(RATES)} to set to 0; pass a BERT as --base")
    write_json(folder / "config.json", config | dict.fromkeys(RATES, 0.0))
    return folder


def setfit_on_a_cpu(order: Order) -> CardFigures | None:
    """Give `SETFIT_ON_A_CPU` if the same rows, test texts and base model are used, and otherwise None."""
    files = {"train": order.train, "texts": order.texts, "base": order.base / "model.safetensors"}
    same = all(path.is_file() and _sha256(path) == TRAINED_ON[name] for name, path in files.items())
    return SETFIT_ON_A_CPU if same else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_texts(texts: Path, expected: int) -> None:
    """Refuse, before minutes of work, test texts of another number than those that the right ones were counted on.

    Raises:
        BenchmarkError: There are more, or fewer.
    """
    found = len(read_rows(texts))
    if found != expected:
        raise BenchmarkError(
            f"{texts}: expected the card's {expected:,} test texts, got {found:,}; pass them as --texts"
        )


def steps_table(golden: StepwiseFigures, runs: dict[str, TrainingRun], found: dict[str, Stepwise]) -> str:
    """Set every step's loss beside SetFit's, and say how far apart the runs are at most."""
    lines = ["step  SetFit's loss" + "".join(f"{name:>28}" for name in runs)]
    for step, theirs in enumerate(golden.steps["loss"]):
        ours = "".join(f"{run.steps['loss'][step]:>28.6f}" for run in runs.values())
        lines.append(f"{step + 1:>4}{theirs:>15.6f}{ours}")
    for name, apart in found.items():
        lines.append(
            f"{name}: losses up to {apart.loss:.1e} apart (step {apart.loss_step}), gradient norms "
            f"{apart.grad_norm:.1e}, learning rates {apart.learning_rate:.1e}, probabilities {apart.probability:.1e}; "
            f"{runs[name].right:,} right, SetFit {golden.right:,}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.against_setfit and options.no_dropout:
        parser.error("--against-setfit and --no-dropout: expected one of them, got both; leave one out")
    if options.no_dropout and len(options.seeds) > 1:
        parser.error(f"--no-dropout: expected one seed, that of SetFit's log, got {' '.join(map(str, options.seeds))}")
    if options.threads < 1:
        parser.error(f"--threads: expected 1 or more, got {options.threads}")
    if len(set(options.seeds)) < len(options.seeds):
        parser.error(f"--seeds: expected each once, got {' '.join(map(str, options.seeds))}")
    try:
        require_extra("bench", "benchmarks.card")
        check_writable(options.out)
        (_without_dropout if options.no_dropout else _reproduce)(options)
    except (BenchmarkError, SetfuseError, OSError) as error:
        print(f"benchmarks.card: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks.card: interrupted", file=sys.stderr)
        return 130
    return 0


def _reproduce(options: argparse.Namespace) -> None:
    card = read_card(options.card)
    figures = card.figures()
    check_texts(options.texts, figures.texts)
    order = _order(card, options)
    if options.against_setfit:
        python_for(ENVIRONMENTS["setfit"])  # before minutes of work
    machine, before = environment(), usage()
    trained = train_all(order, options.seeds, against_setfit=options.against_setfit)
    against, stated = trained.against, setfit_on_a_cpu(order)
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "environment": machine,
        "noise": noise(before, usage()),
        "card": asdict(figures),
        "setfit_on_a_cpu": None if stated is None else asdict(stated),
        "runs": [run.to_json() for run in (*trained.ours, *trained.theirs)],
        "against_setfit": None if against is None else against.to_json(),
    }
    print(losses_table(found))
    write_json(options.out / "training.json", found)  # the export may fail; hours of training stay
    graphs = export_all(options.out / "checkpoint", options.out / "bundle", options.texts)
    accuracies = {"card": figures.accuracy, **graphs}
    write_json(options.out / "training.json", {**found, "accuracy": accuracies})
    for name, accuracy in accuracies.items():
        print(f"{name:<12}{'-' if accuracy is None else format(accuracy, '.4f')}")


def _without_dropout(options: argparse.Namespace) -> None:
    card = read_card(options.card)
    golden = card.without_dropout()
    check_texts(options.texts, golden.texts)
    machine, before = environment(), usage()
    runs = train_without_dropout(_order(card, options))
    found = {name: compare_steps(run, golden) for name, run in runs.items()}
    print(steps_table(golden, runs, found))
    write_json(
        options.out / "no-dropout.json",
        {
            "schema_version": SCHEMA_VERSION,
            "environment": machine,
            "noise": noise(before, usage()),
            "apart": {name: apart.to_json() for name, apart in found.items()},
            "runs": {name: run.to_json() for name, run in runs.items()},
        },
    )


def _order(card: Card, options: argparse.Namespace) -> Order:
    return Order(
        train=card.train,
        texts=options.texts,
        base=options.base,
        out=options.out,
        seed=options.seeds[0],
        threads=options.threads,
    )


def _parser() -> argparse.ArgumentParser:
    shared = Path(os.environ.get("SETFUSE_SHARED") or "shared")
    base = shared / "models" / "bge-small-en-v1.5"
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.card", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--card", type=Path, default=shared / "card", help="default: %(default)s")
    parser.add_argument("--base", type=Path, default=base, help="the base model's folder; default: %(default)s")
    parser.add_argument("--texts", type=Path, default=shared / "data" / "sst2" / "test.jsonl", help="%(default)s")
    parser.add_argument("--out", type=Path, default=Path("build/card"), help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="a round each; default: 42, the card's")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="of torch; default: %(default)s")
    parser.add_argument("--against-setfit", action="store_true", help="train with SetFit as well, in turns")
    parser.add_argument("--no-dropout", action="store_true", help="compare with SetFit's own log, step by step")
    return parser


if __name__ == "__main__":
    sys.exit(main())
