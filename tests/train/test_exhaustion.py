"""A disk that is full, memory that is used up, many rows: in processes of their own, where the limits are real."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent

START = """
import json, resource, signal, sys
from pathlib import Path
import torch
from transformers import TrainerCallback
from setfuse.runtime import Row
from setfuse.train import TrainingArguments, train

torch.set_num_threads(1)

class When(TrainerCallback):
    '''Does something after a step, or after the last one.'''

    def __init__(self, step, action):
        self.step, self.action = step, action

    def on_train_begin(self, *_, **__):
        if self.step == "begin":
            self.action()

    def on_step_end(self, _, state, *__, **___):
        if state.global_step == self.step:
            self.action()

    def on_train_end(self, *_, **__):
        if self.step == "end":
            self.action()

def limit(what, soft):
    resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))

def told(run):
    try:
        run()
    except Exception as error:
        return [type(error).__name__, str(error), f"{type(error.__cause__).__name__}: {error.__cause__}"]
    return []

def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())
"""


def in_a_child(code: str, folder: Path, *arguments: object) -> Any:
    """Run code after `START`, in a folder, and give what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", START + code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


FULL_DISK = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails with an error, as on a full disk
rows = [Row(f"{word} parcel {number}", word) for word in ("late", "refund", "best") for number in range(4)]

def run(out, *callbacks, resume=False, output_dir="run"):
    args = TrainingArguments(output_dir=output_dir, num_epochs=2, save_steps=4)
    return train(rows, base=sys.argv[1], out=out, args=args, callbacks=callbacks, resume=resume)

def full(step, most, **given):
    fill = When(step, lambda: limit(resource.RLIMIT_FSIZE, most))
    found = told(lambda: run("out", fill, **given))
    limit(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    return found

whole = run("whole", output_dir="other")
model, optimizer = (Path("other/checkpoint-12", name).stat().st_size for name in ("model.safetensors", "optimizer.pt"))
assert 100 < model < optimizer // 2  # so that each limit is met by another file
found = [full(6, 100), *(full(6, most, resume=True) for most in (model - 1, optimizer // 2, optimizer - 1))]
saved = names("run")
found.append(full("end", 100, resume=True))
left = names(".")
again = run("out", resume=True)
print(json.dumps({"found": found, "saved": saved, "left": left, "same": again.losses == whole.losses}))
"""


def test_a_full_disk_is_told_and_costs_only_what_is_not_whole(tiny_base: Path, tmp_path: Path) -> None:
    found = in_a_child(FULL_DISK, tmp_path, tiny_base)

    *steps, end = found["found"]
    causes = [cause for _, _, cause in steps]
    for kind, message, _ in steps:
        assert kind == "RunNotSaved"
        assert re.search(r"run/checkpoint-8: the checkpoint cannot be written: .*; the last whole one is ", message)
        assert message.endswith("run/checkpoint-4; make room, then go on with resume")
    for cause, error in zip(causes, ["OSError", "SafetensorError", "RuntimeError", "RuntimeError"], strict=True):
        assert cause.startswith(f"{error}: ")
    assert end[0] == "RunNotSaved"
    assert re.match(r"out: the checkpoint cannot be written: .*File too large; ", end[1])
    assert found["saved"] == ["checkpoint-4"]
    assert found["left"] == ["other", "run", "whole"]
    assert found["same"]


NO_MEMORY = """
words = "late lost refund parcel best moon".split()
rows = [Row(f"{words[n % 6]} {' '.join(words)} {n}", words[n % 6]) for n in range(3000)]

def fill():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit(resource.RLIMIT_AS, pages * resource.getpagesize() + 100_000_000)

def run(step, batch_size):
    args = TrainingArguments(max_steps=1, save_strategy="no", batch_size=batch_size)
    train(rows, base=sys.argv[1], out="out", args=args, head="differentiable", callbacks=[When(step, fill)])

found = []
for step, batch_size in (("begin", 3000), ("end", (4, 2900))):
    found.append(told(lambda: run(step, batch_size)))
    limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
print(json.dumps({"found": found, "left": names(".")}))
"""


def test_memory_that_runs_out_is_told_with_the_batch_size(tiny_base: Path, tmp_path: Path) -> None:
    found = in_a_child(NO_MEMORY, tmp_path, tiny_base)

    (step, head) = found["found"]
    for kind, message, cause in (step, head):
        assert kind == "OutOfMemory", (message, cause)
        # torch's allocator, or oneDNN's where the limit is met there first
        assert "DefaultCPUAllocator: can't allocate memory" in cause or cause.endswith("could not create a primitive")
    assert step[1].startswith("step 1: expected room for a batch_size of 3000, ran out of memory; lower batch_size")
    assert head[1].startswith("the head: expected room for a batch_size of 2900, ran out of memory; lower it")
    assert found["left"] == []


MANY_ROWS = """
import setfuse.train._recipe  # the libraries, before what is measured

def peak():
    # Not getrusage: its figure is the parent's where that is higher.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

class Stop(TrainerCallback):
    def on_step_end(self, _, state, control, **__):
        control.should_training_stop = state.global_step == 50

rows = [Row(f"late parcel {n}", "late" if n % 2 else "lost") for n in range(40_000)]
before = peak()
result = train(rows, base=sys.argv[1], out="out", args=TrainingArguments(save_strategy="no"), callbacks=[Stop()])
print(json.dumps({"pairs": result.pairs, "steps": result.steps, "megabytes": peak() - before}))
"""


@pytest.mark.slow
def test_training_on_many_rows_takes_less_than_200_mb(tiny_base: Path, tmp_path: Path) -> None:
    found = in_a_child(MANY_ROWS, tmp_path, tiny_base)

    assert found["pairs"] == 2 * 2 * 20_000 * 20_001 // 2  # as many of two labels as of one
    assert found["steps"] == 50
    assert 0 < found["megabytes"] < 200
