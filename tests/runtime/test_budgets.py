"""What the runtime brings along and holds: counted in modules and bytes, as clocks differ."""

import json
import subprocess
import sys
from pathlib import Path

PROBE = """
import json, sys, tracemalloc
import numpy
before = set(sys.modules)
import setfuse.runtime
at_import = set(sys.modules) - before
import onnxruntime, tokenizers, setfuse.runtime._tokenizer, setfuse.runtime._session
before = set(sys.modules)
classifier = setfuse.runtime.Classifier.load(sys.argv[1])
texts = [" ".join(["parcel", "refund", "late"] * (number % 4)) for number in range(5000)]
classifier(texts)
at_call = set(sys.modules) - before
tracemalloc.start()
for _ in classifier.stream(texts): pass
small, first_peak = tracemalloc.get_traced_memory()
tracemalloc.reset_peak()
for _ in classifier.stream(text for _ in range(4) for text in texts): pass
large, second_peak = tracemalloc.get_traced_memory()
print(json.dumps([sorted(at_import), sorted(at_call), small, large, first_peak, second_peak]))
"""

AT_WORK = {
    "asyncio",
    "concurrent.futures",
    "logging",
    "multiprocessing",
    "huggingface_hub",
    "onnxruntime",
    "tokenizers",
    "ctypes.util",
}
OF_OTHER_COMMANDS = {
    f"setfuse.runtime._{name}" for name in ("batcher", "dataset", "evaluate", "explain", "push", "stats")
}
OF_GPUS = {
    f"setfuse.runtime._{name}"
    for name in ("buckets", "cuda", "cuda_options", "cuda_stream", "driver", "gpu", "provider", "tensorrt")
}


def test_importing_and_calling_bring_few_modules_and_memory_stays_flat(tiny_bundle: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, tiny_bundle], capture_output=True, text=True, check=True)
    at_import, at_call, small, large, first_peak, second_peak = json.loads(done.stdout)

    ours = [name for name in at_import if name.startswith("setfuse")]
    assert not (AT_WORK | OF_OTHER_COMMANDS | OF_GPUS).intersection(at_import)
    assert len(ours) <= 29, ours
    assert len(at_import) <= 45, sorted(set(at_import) - set(ours))
    assert not (AT_WORK | OF_OTHER_COMMANDS | OF_GPUS).intersection(at_call)
    assert len(at_call) <= 3, at_call
    # Four times the texts: nothing is kept, and no more is held at a time (a chunk of 1,024 texts and its answers).
    assert large - small < 100_000
    assert second_peak < 1.2 * first_peak < 4_000_000
