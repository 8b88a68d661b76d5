"""How far exported graphs are from torch, for everything that is supported: `python -m benchmarks.parity --out DIR`.

Small bodies with random weights, one for each family, pooling, module and head, and every precision of each; besides
them, real checkpoints that are named. The comparison is the export's own, noted instead of refused.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from setfuse.export import UnsupportedCheckpoint, export
from setfuse.runtime import Manifest, Precision, SetfuseError, require_extra

from ._environment import environment
from ._files import check_writable, whole_file, write_json

SCHEMA_VERSION = 1
POOLINGS = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


@dataclass(frozen=True, slots=True)
class Row:
    """One graph compared.

    Attributes:
        what: What is particular about the checkpoint.
        precision: The graph's.
        megabytes: Size of its file.
        texts: How many texts were compared.
        max_difference: Largest difference of a probability (or decision score).
        mean_difference: Mean difference of these.
        max_embedding_difference: Largest difference of a component of the embedding.
        label_agreement: Share of the texts with torch's label.
        accuracy: On labelled texts; None without labels.
        torch_accuracy: Torch's.
        mismatch: What would have stopped the export; empty where nothing would.
    """

    what: str
    precision: str
    megabytes: float
    texts: int
    max_difference: float
    mean_difference: float
    max_embedding_difference: float
    label_agreement: float
    accuracy: float | None
    torch_accuracy: float | None
    mismatch: str


Make = Callable[[Path], Path]


def checkpoints() -> dict[str, Make]:
    """Give what makes each of the small checkpoints, by what is particular about it."""
    from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm

    from tests.models import FAMILIES

    made: dict[str, Make] = {}
    for family in FAMILIES:
        for pooling in ("cls", "mean"):
            made[f"{family}, {pooling}"] = _checkpoint(family=family, pooling=pooling)
    for pooling in POOLINGS[2:]:
        made[f"pooling {pooling}"] = _checkpoint(pooling=pooling)
    made["all poolings at once"] = _checkpoint(pooling=POOLINGS)
    made["no Normalize"] = _checkpoint(normalize=False)
    made["Dense"] = _checkpoint(modules=(Dense(32, 20),))
    made["LayerNorm"] = _checkpoint(modules=(LayerNorm(32),))
    made["truncated embedding"] = _checkpoint(truncate_dim=8)
    made["prompt, pooled"] = _checkpoint(prompt="the film : ")
    made["prompt, not pooled"] = _checkpoint(prompt="the film : ", include_prompt=False)
    for name, estimator in _estimators().items():
        made[f"head {name}"] = _checkpoint(estimator=estimator, several=name.endswith("several labels"))
    return made


def _estimators() -> dict[str, Any]:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    return {
        "LogisticRegression": LogisticRegression(),
        "OneVsRestClassifier": OneVsRestClassifier(LogisticRegression()),
        "OneVsRestClassifier, several labels": OneVsRestClassifier(LogisticRegression()),
        "MultiOutputClassifier, several labels": MultiOutputClassifier(LogisticRegression()),
        "ClassifierChain, several labels": ClassifierChain(LogisticRegression()),
        "LinearSVC": LinearSVC(),
        "CalibratedClassifierCV of LinearSVC": CalibratedClassifierCV(LinearSVC(), cv=3),
        "RidgeClassifier": RidgeClassifier(),
        "SGDClassifier, log_loss": SGDClassifier(loss="log_loss", random_state=0),
        "LinearDiscriminantAnalysis": LinearDiscriminantAnalysis(),
        "StandardScaler, LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
        "RandomForestClassifier": RandomForestClassifier(n_estimators=20, random_state=0),
        "GradientBoostingClassifier": GradientBoostingClassifier(n_estimators=10, random_state=0),
        "KNeighborsClassifier": KNeighborsClassifier(),
        "MLPClassifier": MLPClassifier((16,), max_iter=50, random_state=0),
    }


def _checkpoint(*, estimator: Any = None, several: bool = False, **body: Any) -> Make:
    def make(folder: Path) -> Path:
        from tests.models import make_body, make_checkpoint

        labels = ("late", "lost", "refund")
        model = make_body(folder, **body)
        checkpoint = make_checkpoint(folder, model, labels, scale=1.0)
        if estimator is not None:
            _replace_head(checkpoint, model, estimator, several=several)
        return checkpoint

    return make


def _replace_head(checkpoint: Path, body: Any, estimator: Any, *, several: bool) -> None:
    """Put an estimator beside the body as SetFit does: pickled."""
    import joblib

    from tests.models import TEXTS

    rng = np.random.default_rng(0)
    embeddings = body.encode([text for text in TEXTS if text] * 6)
    embeddings = embeddings + rng.normal(scale=0.1, size=embeddings.shape).astype(np.float32)
    shape = (len(embeddings), 3)
    given = rng.integers(0, 2, shape) if several else np.asarray(["late", "lost", "refund"])[np.arange(shape[0]) % 3]
    (checkpoint / "head.json").unlink()
    (checkpoint / "head.safetensors").unlink()
    joblib.dump(estimator.fit(embeddings, given), checkpoint / "model_head.pkl")


def measure(checkpoint: Path, what: str, check_on: Path | None = None) -> Iterator[Row]:
    """Export a checkpoint in every precision and give a row for each.

    Args:
        checkpoint: Any that the export reads.
        what: Its name in the table.
        check_on: Texts to compare on; None for the export's own.

    Raises:
        SetfuseError: It cannot be exported at all.
    """
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        for precision in Precision:
            with contextlib.suppress(UnsupportedCheckpoint):  # fp16 of a head that has no CUDA kernels
                manifest = export(
                    checkpoint, bundle, [precision], check_on=check_on, allow_mismatch=True, overwrite=True
                )
                yield from _rows(manifest, what)


def _rows(manifest: Manifest, what: str) -> Iterator[Row]:
    for variant in manifest.variants:
        parity = variant.parity
        if parity is not None:
            yield Row(
                what=what,
                precision=str(variant.precision),
                megabytes=variant.file.bytes / 1e6,
                texts=parity.texts,
                max_difference=parity.max_probability_difference,
                mean_difference=parity.mean_probability_difference,
                max_embedding_difference=parity.max_embedding_difference,
                label_agreement=parity.label_agreement,
                accuracy=parity.accuracy,
                torch_accuracy=parity.torch_accuracy,
                mismatch=parity.allowed_mismatch,
            )


def table(rows: Sequence[Row]) -> str:
    """Write the rows as a Markdown table."""
    header = (
        "checkpoint, precision, MB, texts, max diff., mean diff., max diff. of the embedding, same label, accuracy, "
    )
    columns = f"{header}torch's, would stop the export".split(", ")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        shares = ["-" if share is None else f"{share:.4f}" for share in (row.accuracy, row.torch_accuracy)]
        differences = [f"{x:.1e}" for x in (row.max_difference, row.mean_difference, row.max_embedding_difference)]
        cells = [row.what, row.precision, f"{row.megabytes:.1f}", str(row.texts), *differences]
        cells += [f"{row.label_agreement:.2%}", *shares, "yes" if row.mismatch else "no"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/parity"), help="default: %(default)s")
    parser.add_argument("--checkpoint", type=Path, nargs="*", default=[], help="real ones to compare besides")
    parser.add_argument("--check-on", type=Path, help="labelled texts for the real ones; default: the export's own")
    parser.add_argument("--only", default="", help="of the small ones those whose name contains this")
    options = parser.parse_args(arguments)
    try:
        require_extra("export", "benchmarks.parity")
        check_writable(options.out)
        rows = _measure_all(options)
    except (SetfuseError, OSError) as error:
        print(f"benchmarks.parity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks.parity: interrupted", file=sys.stderr)
        return 130
    write_json(
        options.out / "parity.json",
        {"schema_version": SCHEMA_VERSION, "environment": environment(), "rows": [asdict(row) for row in rows]},
    )
    with whole_file(options.out / "parity.md") as partial:
        partial.write_text(f"# How far the graphs are from torch\n\n{table(rows)}\n", encoding="utf-8")
    print(table(rows))
    print(json.dumps({"graphs": len(rows), "would_stop": sum(bool(row.mismatch) for row in rows)}))
    return 0


def _measure_all(options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    small = {what: make for what, make in checkpoints().items() if options.only in what}
    for what, make in tqdm(small.items(), desc="parity", disable=not sys.stderr.isatty()):
        with tempfile.TemporaryDirectory() as scratch:
            rows += measure(make(Path(scratch)), what)
    for checkpoint in options.checkpoint:
        rows += measure(checkpoint, checkpoint.name, options.check_on)
    return rows


if __name__ == "__main__":
    sys.exit(main())
