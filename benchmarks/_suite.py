"""A run from checks to files: what is asked for, what is measured, what is written."""

import dataclasses
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from setfuse.runtime import Manifest

from ._cases import make_cases, read_corpus
from ._contenders import CONTENDERS, Models
from ._environment import environment, noise, usable_cores, usage
from ._environments import ENVIRONMENTS
from ._errors import BenchmarkError
from ._files import ROOT, check_writable
from ._journal import Journal
from ._output import write_report
from ._plan import QUICK, Measure, Plan
from ._process import DEFAULT_LIMITS, Limits
from ._results import Results
from ._steps import Steps
from ._warnings import warnings_of

DEMO_TEXTS = ROOT / "benchmarks" / "data" / "support_desk" / "test.jsonl"


def run(
    models: Models,
    out: Path,
    plan: Plan,
    *,
    measures: Sequence[Measure] = tuple(Measure),
    only: Sequence[str] = tuple(CONTENDERS),
    texts: Path | None = None,
    threads: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    fresh: bool = False,
) -> Results:
    """Measure, and write `results.json`, the report, its page and its plots into a folder.

    A run that was interrupted goes on where it was, if it is asked for again in the same words.

    Args:
        models: The bundle, the checkpoint that it was exported from, and the checkpoint's other forms.
        out: The folder; made if need be, other files in it are left alone.
        plan: How much.
        measures: Of what.
        only: The contenders.
        texts: Real texts (JSONL); None for those of the demo.
        threads: For every contender.
        limits: How long a contender may take.
        fresh: Start over where an interrupted run is found.

    Returns:
        What was measured.

    Raises:
        BenchmarkError: The models, the texts or the folder cannot be used, there are too few processors, torch's own
            labels cannot be had, or the bundle is not the checkpoint's.
        SetfuseError: A package is missing, or the bundle cannot be read.
    """
    check_writable(out)
    if threads > usable_cores():
        raise BenchmarkError(f"expected at most {usable_cores()} threads, the processors that are here, got {threads}")
    manifest = Manifest.read(models.bundle)
    tokenizer = Tokenizer.from_buffer(manifest.tokenizer.read(models.bundle))
    corpus = read_corpus(texts or DEMO_TEXTS, tokenizer, manifest.labels).sample(plan.labelled_texts)
    settings = {
        **dataclasses.asdict(plan),
        **dataclasses.asdict(limits),
        "measures": [str(measure) for measure in measures],
        "lengths": list(plan.lengths),
        "threads": threads,
        "all_threads": usable_cores() if plan.all_threads else threads,
        "quick": plan == QUICK,
        "texts": len(corpus.texts),
        "texts_source": corpus.source,
    }
    named = [name for name in CONTENDERS if name in only]
    found = environment()
    asked = {
        **settings,
        "contenders": named,
        "artefacts": str(models.artefacts),
        "bundle": [variant.file.sha256 for variant in manifest.variants],
        "corpus": hashlib.sha256("\0".join(corpus.texts).encode("utf-8", "surrogatepass")).hexdigest(),
        "cpu": found["cpu"],
        "sources": _sources_hash(),
        "environments": {name: one.is_built for name, one in ENVIRONMENTS.items()},
        "labels": corpus.labels,
        "train": None if models.train is None else models.train.read_text(encoding="utf-8"),
    }
    with Journal(out / "journal.jsonl", asked, fresh=fresh) as journal:
        if journal.dropped:
            said = f"starting over: {journal.dropped} steps that were finished here are of other settings"
            print(said, file=sys.stderr)
        if journal.finished:
            print(f"going on with an interrupted run: {journal.finished} steps were finished", file=sys.stderr)
        steps = Steps(models, journal, corpus, plan=plan, named=named, threads=threads, limits=limits)
        before = usage()
        measured = steps.measure(measures, make_cases(tokenizer, manifest.max_length, plan.lengths))
        found |= noise(before, usage()) | {"steps_of_an_interrupted_run": journal.finished}
        results = Results(
            environment=found,
            settings=settings,
            model={"labels": list(manifest.labels), "provenance": dict(manifest.provenance)},
            warnings=(*warnings_of(found, measured.rows), *((corpus.note,) if corpus.note else ())),
            roof=measured.roof,
            contenders=measured.contenders,
            rows=measured.rows,
            throughput=measured.throughput,
            footprint=measured.footprint,
        )
        results.write(out / "results.json")
        write_report(results, out)
        journal.complete()
    return results


def _sources_hash() -> str:
    """Give a hash of the code that a run measures and is measured with: a run does not go on with other code."""
    made = hashlib.sha256()
    for path in sorted([*(ROOT / "runtime").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]):
        made.update(path.read_bytes())
    return made.hexdigest()
