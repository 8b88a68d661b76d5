"""A classifier in a service: shared by threads, closed, pickled, forked and spawned."""

import asyncio
import gc
import importlib.util
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from setfuse.runtime import BundleNotFound, Classifier, ClassifierClosed, SetfuseError
from tests.models import TEXTS

from .damage import change_manifest
from .kinds import make_multi_label

PATIENCE = 120
"""Seconds after which what hangs is a failure."""

ENGINES = [
    "onnxruntime",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="OpenVINO is not installed"),
    ),
]


def scores(classifier: Classifier) -> list[tuple[str | None, float]]:
    return [(prediction.label, round(prediction.score, 5)) for prediction in classifier(TEXTS)]


# Threads


def test_sixty_four_threads_get_the_answers_of_one(tiny_bundle: Path) -> None:
    classifier = Classifier.load(tiny_bundle, threads=2)
    expected = {text: scores_of(classifier, text) for text in TEXTS}
    ready = threading.Barrier(64)

    def ask(number: int) -> list[bool]:
        ready.wait(PATIENCE)
        order = [TEXTS[(number + step) % len(TEXTS)] for step in range(len(TEXTS))]
        return [scores_of(classifier, text) == expected[text] for text in order]

    with ThreadPoolExecutor(max_workers=64) as pool:
        answers = list(pool.map(ask, range(64)))

    assert all(map(all, answers))
    assert classifier.stats.texts == 65 * len(TEXTS)


def scores_of(classifier: Classifier, text: str) -> list[float]:
    return [round(score, 5) for score in classifier(text).scores.values()]


# The end


CALLS: dict[str, Callable[[Classifier], object]] = {
    "call": lambda classifier: classifier("a"),
    "list": lambda classifier: classifier(["a"]),
    "predict": lambda classifier: classifier.predict(["a"]),
    "predict_proba": lambda classifier: classifier.predict_proba(["a"]),
    "embed": lambda classifier: classifier.embed(["a"]),
    "stream": lambda classifier: next(classifier.stream(["a"])),
    "explain": lambda classifier: classifier.explain("a"),
    "warmup": lambda classifier: classifier.warmup(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_after_close_is_refused(call: Callable[[Classifier], object], tiny_bundle: Path) -> None:
    with Classifier.load(tiny_bundle) as classifier:
        call(classifier)
    with pytest.raises(ClassifierClosed, match="was closed: expected no further call; load the bundle again") as caught:
        call(classifier)

    assert isinstance(caught.value, ValueError)  # as of a closed file
    assert isinstance(caught.value, SetfuseError)
    classifier.close()  # again
    assert classifier.labels == ("late", "lost", "refund")
    assert classifier.stats.batches >= 1


def test_closing_in_the_middle_of_a_stream_ends_it(tiny_bundle: Path) -> None:
    classifier = Classifier.load(tiny_bundle)
    stream = classifier.stream(["a"] * 3000)
    next(stream)
    classifier.close()

    with pytest.raises(ClassifierClosed):
        list(stream)


def test_closing_frees_the_engines_threads(tiny_bundle: Path) -> None:
    def tasks() -> set[str]:
        return {task.name for task in Path("/proc/self/task").iterdir()}

    Classifier.load(tiny_bundle, threads=1)
    before = tasks()
    classifier = Classifier.load(tiny_bundle, threads=5)
    model = classifier._resident.model()
    model._graph._on_all_threads()  # as for a long text
    own = tasks() - before  # those of others may end meanwhile
    assert len(own) == 4
    classifier.close()
    del model
    gc.collect()

    assert not own & tasks()


def test_closing_frees_the_model_that_asyncios_callers_shared(tiny_bundle: Path) -> None:
    classifier = Classifier.load(tiny_bundle, threads=2)
    asyncio.run(classifier.aclassify("a"))
    model = weakref.ref(classifier._resident.model())
    classifier.close()
    gc.collect()

    assert model() is None
    classifier.close()  # again
    with pytest.raises(ClassifierClosed):
        asyncio.run(classifier.aclassify("a"))


# Pickles


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_loaded_from_its_folder(
    protocol: int, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    classifier = Classifier.load(tiny_bundle.name, threads=1, max_queue=7)
    pickled = pickle.dumps(classifier, protocol)
    monkeypatch.chdir(tmp_path)

    loaded = pickle.loads(pickled)

    assert len(pickled) < 1000  # no weights
    assert scores(loaded) == scores(classifier)
    assert loaded._source == classifier._source
    assert loaded._source.limits.max_queue == 7


def test_a_pickle_of_a_closed_classifier_is_loaded_open(tiny_bundle: Path) -> None:
    classifier = Classifier.load(tiny_bundle)
    classifier.close()

    assert pickle.loads(pickle.dumps(classifier))("a").label


def test_a_pickle_whose_folder_is_gone_says_so(own_bundle: Path) -> None:
    pickled = pickle.dumps(Classifier.load(own_bundle))
    shutil.rmtree(own_bundle)

    with pytest.raises(BundleNotFound, match="expected a bundle folder"):
        pickle.loads(pickled)


# A bundle replaced on disk


def test_a_bundle_replaced_on_disk_changes_no_answer_of_the_one_that_is_loaded(own_bundle: Path) -> None:
    classifier = Classifier.load(own_bundle)
    before = scores(classifier)
    make_multi_label(own_bundle)
    change_manifest(own_bundle, lambda manifest: manifest.update(labels=["x", "y", "z"]))

    assert scores(classifier) == before
    assert Classifier.load(own_bundle).labels == ("x", "y", "z")


# Processes: in a process of their own, as the tests' has torch's threads

PREAMBLE = """
import multiprocessing, os, pickle, sys, threading, time, warnings
warnings.simplefilter("error")
# From Python 3.12: that a process of several threads forks is what is tested here.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from setfuse.runtime import Classifier, ClassifierClosed
TEXTS = ["where is my parcel", "refund the money please " * 8, ""] * 40

def answer(classifier):
    return [tuple(round(score, 5) for score in prediction.scores.values()) for prediction in classifier(TEXTS)]

def in_child(work):
    "Fork, do the work, and end as any program does: through the destructors of the libraries."
    child = os.fork()
    if child == 0:
        try:
            work()
        except Exception as error:
            print(type(error).__name__, error, flush=True)
            sys.exit(3)
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def run_script(script: str, *arguments: object) -> str:
    """Run a script after the preamble; one that hangs is a failure, and is ended with its children."""
    command = [sys.executable, "-c", PREAMBLE + script, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"it hangs: {process.communicate()[0]}")
    assert process.returncode == 0, output
    return output


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_forked_child_answers_as_its_parent_does(threads: int, engine: str, tiny_bundle: Path) -> None:
    script = """
    import asyncio
    classifier = Classifier.load(sys.argv[1], threads=int(sys.argv[2]), engine=sys.argv[3])
    expected = answer(classifier)
    assert asyncio.run(classifier.aclassify("a")).label  # a thread that the child does not have

    def work():
        assert classifier.stats.texts == 0  # its own count
        assert answer(classifier) == expected
        assert asyncio.run(classifier.aclassify("a")).label
        assert in_child(lambda: answer(classifier)) == 0
        classifier.close()

    assert in_child(work) == 0
    assert in_child(lambda: None) == 0  # not used there, either
    assert answer(classifier) == expected
    assert asyncio.run(classifier.aclassify("a")).label
    """
    run_script("if True:" + script, tiny_bundle, threads, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_child_of_a_parent_that_has_not_answered_yet_answers(engine: str, tiny_bundle: Path) -> None:
    script = """
    classifier = Classifier.load(sys.argv[1], threads=3, engine=sys.argv[2])
    assert in_child(lambda: None) == 0
    assert in_child(lambda: answer(classifier)) == 0
    assert len(answer(classifier)) == len(TEXTS)
    """
    run_script("if True:" + script, tiny_bundle, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_child_of_a_parent_that_has_closed_loads_and_answers(engine: str, tiny_bundle: Path) -> None:
    """What an engine keeps for the next graph waits for threads that the child does not have."""
    script = """
    with Classifier.load(sys.argv[1], threads=2, engine=sys.argv[2]) as closed:
        expected = answer(closed)

    def work():
        with Classifier.load(sys.argv[1], threads=2, engine=sys.argv[2]) as classifier:
            assert answer(classifier) == expected
        os._exit(0)  # as multiprocessing's children end: destructors of OpenVINO's may abort for want of those threads

    assert in_child(work) == 0
    """
    run_script("if True:" + script, tiny_bundle, engine)


@pytest.mark.parametrize("value", [None, "0"])
def test_the_environment_is_left_as_it_was(value: str | None, tiny_bundle: Path) -> None:
    script = """
    value = sys.argv[2] or None
    if value:
        os.environ["ORT_DISABLE_TELEMETRY"] = value
    before = dict(os.environ)
    Classifier.load(sys.argv[1])
    assert "onnxruntime" in sys.modules
    assert dict(os.environ) == before
    """
    run_script("if True:" + script, tiny_bundle, value or "")


def test_a_child_forked_while_threads_are_at_work_answers(tiny_bundle: Path) -> None:
    script = """
    classifier = Classifier.load(sys.argv[1], threads=2)
    expected = answer(classifier)
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            classifier(TEXTS)

    threads = [threading.Thread(target=keep_busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    codes = [in_child(lambda: sys.exit(answer(classifier) != expected)) for _ in range(5)]
    stop.set()
    for thread in threads:
        thread.join()
    print(codes)
    """
    assert run_script("if True:" + script, tiny_bundle).splitlines()[-1] == str([0] * 5)


def test_a_child_does_not_free_what_a_closed_classifier_left_behind(tiny_bundle: Path) -> None:
    """As the traceback of an old error does; the engine's threads, for whom it would wait, are the parent's."""
    script = """
    classifier = Classifier.load(sys.argv[1], threads=2)
    kept = [classifier._resident.model()]
    kept[0]._graph._on_all_threads()
    classifier.close()
    print(in_child(kept.clear))
    """
    assert run_script("if True:" + script, tiny_bundle).splitlines()[-1] == "0"


@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="OpenVINO is not installed")
def test_a_child_forked_while_openvino_is_at_work_says_so(tiny_bundle: Path) -> None:
    script = """
    classifier = Classifier.load(sys.argv[1], threads=2, engine="openvino")
    request = classifier._resident.model()._graph._usual._compiled.create_infer_request()
    running, go_on = threading.Event(), threading.Event()

    class SlowRequest:
        def infer(self, *arguments, **options):
            running.set()
            go_on.wait()
            request.infer(*arguments, **options)

        def __getattr__(self, name):
            return getattr(request, name)

    classifier._resident.model()._graph._usual._idle.append(SlowRequest())
    thread = threading.Thread(target=classifier, args=["a"])
    thread.start()
    running.wait()
    code = in_child(lambda: classifier("a"))
    go_on.set()
    thread.join()
    print(code, in_child(lambda: classifier("a")))
    """
    output = run_script("if True:" + script, tiny_bundle)

    assert "UsageError engine: expected a process that was not forked while OpenVINO was at work" in output
    assert output.splitlines()[-1] == "3 0"


def test_a_child_does_not_take_another_bundle_for_its_own(own_bundle: Path) -> None:
    script = """
    classifier = Classifier.load(sys.argv[1])
    with open(sys.argv[1] + "/model.onnx", "ab") as file:
        file.write(b"changed")
    assert in_child(lambda: classifier("a")) == 3
    assert classifier("a").label
    """
    assert "BundleCorrupt" in run_script("if True:" + script, own_bundle)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("asked", [False, True], ids=["not asked before", "asked before"])
def test_a_closed_classifier_is_closed_in_a_child(asked: bool, engine: str, tiny_bundle: Path) -> None:
    script = """
    import asyncio
    classifier = Classifier.load(sys.argv[1], engine=sys.argv[2], threads=3)
    if sys.argv[3] == "True":
        asyncio.run(classifier.aclassify("a"))
    classifier.close()
    assert in_child(lambda: classifier("a")) == 3
    """
    assert "ClassifierClosed" in run_script("if True:" + script, tiny_bundle, engine, asked)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_takes_the_classifier_along(method: str, tiny_bundle: Path, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        PREAMBLE
        + """
if __name__ == "__main__":
    classifier = Classifier.load(sys.argv[1], threads=2)
    expected = answer(classifier)
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        assert pool.map(answer, [classifier] * 4) == [expected] * 4
        pool.close()
        pool.join()
    print("done")
""",
        encoding="utf-8",
    )
    process = subprocess.run(
        [sys.executable, script, tiny_bundle, method],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert (process.returncode, process.stdout) == (0, "done\n"), process.stderr
