"""Pickled heads by somebody who knows what the compiled code trusts: refused, or read as if the attack were not there.

They are read in one process of its own, which must come through: none may crash it, take gigabytes or go on for ever.
"""

import copy
import io
import json
import pickle
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from setfuse.export._heads import read_head
from tests.export import heads

READ = "^read$"
"""What is not what it should be is no part of what is read."""

MEGABYTES = 300
"""That reading all of them may take at most, one after the other."""


def estimator(name: str, classes: int = 3, **changes: Any) -> Any:
    """Fit one, and put other attributes on it."""
    made = heads.fitted({**heads.LINEAR, **heads.CONVERTED}[name], classes)
    vars(made).update(changes)
    return made


def armed() -> KNeighborsClassifier:
    """Make an estimator that writes where its labels point, when it is asked."""
    made = estimator("KNeighborsClassifier, manhattan", _y=np.full(140, 10**9))
    made._fit_X = made._fit_X.astype(np.float64)  # as what it is asked for: else numpy, not compiled code, is asked
    return made


def fold_of_another_class() -> Any:
    made = heads.fitted(lambda: CalibratedClassifierCV(LinearSVC(), cv=2), 3)
    fold = made.calibrated_classifiers_[0]
    trap = armed()
    vars(trap).update(estimator=fold.estimator, calibrators=fold.calibrators, method=fold.method)
    made.calibrated_classifiers_[0] = trap
    return made


def tree_inside(spoil: Callable[[Any], Any]) -> bytes:
    """Pickle a tree whose compiled part is written down otherwise."""
    made = heads.fitted(heads.CONVERTED["DecisionTreeClassifier"], 3)

    class Pickler(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            return spoil(value.__reduce__()) if value is made.tree_ else NotImplemented

    file = io.BytesIO()
    Pickler(file).dump(made)
    return file.getvalue()


def without_nodes(reduced: Any) -> Any:
    constructor, arguments, state = reduced
    empty = {**state, "node_count": 0, "nodes": state["nodes"][:0], "values": state["values"][:0]}
    return constructor, arguments, empty


def boosting(**changes: Any) -> Any:
    return estimator("GradientBoostingClassifier", **changes)


def another_start(classes: int) -> Any:
    start = DummyClassifier(strategy="prior").fit(np.zeros((classes, 16)), np.arange(classes))
    return boosting(init_=start)


def nested_key() -> bytes:
    return b"\x80\x02}" + NEST + b"Ns."


def classes_of(opcodes: bytes) -> bytes:
    """Pickle an estimator with such classes."""
    return b"\x80\x03csklearn.linear_model._logistic\nLogisticRegression\n)\x81}U\x08classes_" + opcodes + b"sb."


NEST = b"K\x01" + b"2\x86" * 60
"""A pair of itself twice, sixty times over: 2^60 values to hash, or to write out."""
FLOAT = b"cnumpy\ndtype\nU\x02f8\x89\x88\x87R(K\x03U\x01<NNNK\x00K\x00K\x00tb"
FROM_BUFFER = b"cnumpy._core.numeric\n_frombuffer\n(C\x08" + bytes(8)


def order_of_tuples() -> bytes:
    return classes_of(FROM_BUFFER + FLOAT + b"K\x01\x85" + NEST + b"tR")


def names_of_tuples() -> bytes:
    kind = b"cnumpy\ndtype\nU\x02V8\x89\x88\x87R(K\x03U\x01|N" + NEST + b"}K\x08K\x01K\x10tb"
    return classes_of(FROM_BUFFER + kind + b"K\x01\x85U\x01CtR")


def axes_without_end() -> bytes:
    long = pickle.dumps(1 << 20_000, 2)[2:-1]
    return classes_of(FROM_BUFFER + FLOAT + b"(" + long + b"2" * 200_000 + b"tU\x01CtR")


def colliding_keys() -> bytes:
    modulus = (1 << 61) - 1  # Python's hash of an integer is its remainder
    entries = b"".join(pickle.dumps(modulus * i, 2)[2:-1] + b"N" for i in range(1, 30_000))
    return b"\x80\x02}(" + entries + b"u."


def nested_numbers() -> Any:
    row: Any = [1.0] * 10
    for _ in range(10):
        row = [row] * 10
    return estimator("LogisticRegression", coef_=row)


def described_without_end() -> bytes:
    return b"\x80\x02cnumpy\ndtype\nU\x02f8\x89\x88\x87R(K\x03" + NEST + b"tb."


def estimators_in_estimators() -> Any:
    inside: Any = heads.fitted(LogisticRegression, 3)
    outer = heads.fitted(lambda: CalibratedClassifierCV(LogisticRegression(), cv=2), 3)
    for _ in range(40):
        layer = copy.copy(outer)
        folds = [copy.copy(fold) for fold in outer.calibrated_classifiers_]
        for fold in folds:
            fold.estimator = inside
        layer.calibrated_classifiers_ = folds
        inside = layer
    return inside


def estimators_again_and_again() -> Any:
    made = heads.fitted(lambda: OneVsRestClassifier(LogisticRegression()), 3)
    made.estimators_ = [made.estimators_[0]] * 1_000_000
    return made


def elements_of_no_bytes() -> Any:
    return (
        b"\x80\x02csklearn.linear_model._logistic\nLogisticRegression\n)\x81}U\x08classes_"
        b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        b"(K\x01\x8a\x05\x00\x00\x00\x00\x01\x85cnumpy\ndtype\nU\x02S0\x89\x88\x87R"
        b"(K\x03U\x01|NNNK\x00K\x01K\x00tb\x89C\x00tbsb."
    )


def objects_from_nothing() -> bytes:
    return zlib.compress(b"\x80\x02" + b"]" * 50_000_000 + b".", 1)


def setfit_head(storage: bytes) -> bytes:
    """Pickle SetFit's head with one tensor, (3, 16), of a storage."""
    size = len(storage).to_bytes(4, "little")
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(ctorch.storage\n_load_from_bytes\nB" + size + storage + b"\x85R"
        b"K\x00K\x03K\x10\x86K\x10K\x01\x86\x89}tR"
    )
    linear = b"ctorch.nn.modules.linear\nLinear\n)\x81}U\x0b_parameters}U\x06weight" + tensor + b"ssb"
    return b"\x80\x03csetfit.modeling\nSetFitHead\n)\x81}U\x08_modules}U\x06linear" + linear + b"ssb."


def storage(count: int, numbers: bytes = b"", keys: tuple[str, ...] = ("0",)) -> bytes:
    """Write torch's format of a storage, with a count of one's own."""
    description = b"\x80\x02(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu" + pickle.dumps(count, 2)[2:-1] + b"NtQ."
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [0x1950A86A20F9469CFC6C, 1001, machine]
    before = b"".join(pickle.dumps(part, 2) for part in parts)
    return before + description + pickle.dumps(list(keys), 2) + struct.pack("<q", count) + numbers


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "steps on another class": (lambda: estimator("LogisticRegression", steps=[("a", armed())]), READ),
    "a method on an estimator": (lambda: estimator("LogisticRegression", predict_proba=armed()), READ),
    "a class on an estimator": (lambda: estimator("LogisticRegression", decision_function=LogisticRegression), READ),
    "a fold of another class": (fold_of_another_class, "a KNeighborsClassifier where one of _CalibratedClassifier"),
    "a start of another class": (lambda: boosting(init_=armed()), "where one of DummyClassifier stands"),
    "a start of fewer classes": (lambda: another_start(2), "a start of its classes"),
    "a loss of another class": (lambda: boosting(_loss=armed()), READ),
    "a column a step too few": (lambda: boosting(n_trees_per_iteration_=1), READ),
    "more columns than classes": (lambda: boosting(classes_=np.asarray(["a", "b"])), r"estimators_ \(steps, 1\)"),
    "classes that it has not": (lambda: boosting(n_classes_=2, init_="zero"), READ),
    "a loss by another name": (lambda: boosting(loss="exponential"), "expected the loss log_loss, found exponential"),
    "a preprocessor": (lambda: estimator("HistGradientBoostingClassifier", _preprocessor=armed()), READ),
    "bins": (lambda: estimator("HistGradientBoostingClassifier", _bin_mapper=armed()), READ),
    "a tree that is never filled": (
        lambda: tree_inside(lambda reduced: reduced[:2]),
        "a Tree where a Tree stands|state",
    ),
    "a tree without nodes": (lambda: tree_inside(without_nodes), "several axes without elements|without nodes"),
    "keys that take for ever to hash": (nested_key, "a tuple as a key"),
    "an order that takes for ever to hash": (order_of_tuples, "an array of another form than numpy's"),
    "names that take for ever to hash": (names_of_tuples, "a structure without fields"),
    "axes that take for ever to multiply": (axes_without_end, "an array without a shape"),
    "keys of one hash": (colliding_keys, "an int as a key"),
    "numbers in lists": (nested_numbers, "a list where an array stands, in LogisticRegression.coef_"),
    "a state that takes for ever to describe": (described_without_end, "the head is a dtype"),
    "estimators that double": (estimators_in_estimators, "more numbers than a file of its size may ask for"),
    "an estimator a million times": (estimators_again_and_again, "more numbers than a file of its size may ask for"),
    "elements of no bytes": (elements_of_no_bytes, "elements without a byte"),
    "a width of billions": (
        lambda: estimator("LogisticRegression", n_features_in_=1 << 32),
        "n_features_in_ of 1 to",
    ),
    "objects from nothing": (objects_from_nothing, "more objects than a file of its size may hold"),
    "a storage of billions": (lambda: setfit_head(storage(1 << 32)), "other numbers than it says"),
    "a storage that is not there": (lambda: setfit_head(storage(48, keys=())), "storage without a type"),
    "a storage of another format": (lambda: setfit_head(b"PK" + bytes(100)), "an old or unusual way"),
    "a storage that is cut short": (lambda: setfit_head(storage(48, bytes(191))), "other numbers than it says"),
    "a storage that asks for more": (
        lambda: setfit_head(b"cposix\nsystem\nU\x04true\x85R."),
        "the pickle asks for posix.system",
    ),
}


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the modules beside this file."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Read all in a process of its own.

    Fails where it does not end well, or takes more memory than a head should: the largest file here has 4 MB.
    """
    folder = tmp_path_factory.mktemp("hostile")
    for name, make in {
        "sound": lambda: estimator("LogisticRegression"),
        **{n: m for n, (m, _) in HOSTILE.items()},
    }.items():
        made = make()
        (folder / name).mkdir()
        (folder / name / "model_head.pkl").write_bytes(made if isinstance(made, bytes) else pickle.dumps(made))
    done = run("tests.export.read_hostile_heads", folder, "sound")
    assert done.returncode == 0, done.stderr[-500:]
    found = json.loads(done.stdout)
    assert found["megabytes"] < MEGABYTES
    outcomes: dict[str, str] = found["outcomes"]
    return outcomes


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_heads(outcomes: dict[str, str], name: str) -> None:
    assert re.search(HOSTILE[name][1], outcomes[name])


def test_a_sound_one_is_read(outcomes: dict[str, str]) -> None:
    assert outcomes["sound"] == "read"


CHANGED: dict[str, Callable[[], bytes]] = {
    "GradientBoostingClassifier": lambda: pickle.dumps(boosting()),
    "HistGradientBoostingClassifier": lambda: pickle.dumps(estimator("HistGradientBoostingClassifier")),
    "KNeighborsClassifier": lambda: joblib_bytes(estimator("KNeighborsClassifier, manhattan")),
    "RandomForestClassifier": lambda: joblib_bytes(estimator("RandomForestClassifier")),
    "SetFitHead": lambda: setfit_head(storage(48, np.linspace(-1, 1, 48, dtype=np.float32).tobytes())),
    "SVC": lambda: pickle.dumps(estimator("SVC with probabilities")),
}


def joblib_bytes(value: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue()


def test_bytes_changed_anywhere(tmp_path: Path) -> None:
    for name, make in CHANGED.items():
        (tmp_path / name).write_bytes(make())

    done = run("tests.export.read_changed_heads", tmp_path, "60")

    assert done.returncode == 0, done.stderr[-2000:]


def test_the_sound_ones_of_these_are_read(tmp_path: Path) -> None:
    for make in CHANGED.values():
        (tmp_path / "model_head.pkl").write_bytes(make())
        read_head(tmp_path)
