"""Pickled heads: what is read, and that nothing else gets through, however it is wrapped."""

import bz2
import contextlib
import copy
import functools
import gzip
import io
import json
import lzma
import operator
import os
import pickle
import pickletools
import struct
import sys
import types
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

import setfuse.export._heads._compressed as compressed_module
from setfuse.export import CheckpointError, ExportError, UnsupportedCheckpoint
from setfuse.export._heads import read_head
from setfuse.export._heads._admitted import CALLS, ESTIMATORS, LEFT_OUT, MENTIONED, STATES
from setfuse.export._heads._arrays import array_of, plain
from setfuse.export._heads._record import Damaged, Name, Record
from setfuse.export._heads._sound import check_tree_parts
from tests.export import heads

X = heads.embeddings(20, seed=3)


@pytest.fixture(scope="module")
def logistic() -> LogisticRegression:
    return heads.fitted(LogisticRegression, 3)


def read_bytes(folder: Path, data: bytes) -> Any:
    (folder / "model_head.pkl").write_bytes(data)
    return read_head(folder)


def joblib_bytes(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, **options)
    return file.getvalue()


FORMATS: dict[str, Callable[[Any], bytes]] = {
    "joblib": joblib_bytes,
    "joblib, zlib": lambda value: joblib_bytes(value, compress=3),
    "joblib, gzip": lambda value: joblib_bytes(value, compress=("gzip", 3)),
    "joblib, bz2": lambda value: joblib_bytes(value, compress=("bz2", 3)),
    "joblib, lzma": lambda value: joblib_bytes(value, compress=("lzma", 3)),
    "joblib, xz": lambda value: joblib_bytes(value, compress=("xz", 3)),
    "joblib, protocol 2": lambda value: joblib_bytes(value, protocol=2),
    "pickle, protocol 3": lambda value: pickle.dumps(value, 3),
    "pickle, protocol 4": lambda value: pickle.dumps(value, 4),
    "pickle, protocol 5": lambda value: pickle.dumps(value, 5),
}


@pytest.mark.parametrize("dump", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(
    "name", ["StandardScaler, LogisticRegression", "GradientBoostingClassifier", "HistGradientBoostingClassifier"]
)
def test_each_way_to_write_a_pickle(tmp_path: Path, name: str, dump: Callable[[Any], bytes]) -> None:
    estimator = heads.fitted({**heads.LINEAR, **heads.CONVERTED}[name], 3)

    head = read_bytes(tmp_path, dump(estimator))

    np.testing.assert_allclose(head.answer(X), estimator.predict_proba(X.astype(np.float64)), rtol=0, atol=1e-12)


def test_arrays_in_column_order_and_of_the_other_byte_order(tmp_path: Path, logistic: LogisticRegression) -> None:
    expected = logistic.predict_proba(X.astype(np.float64))
    other = heads.fitted(LogisticRegression, 3)
    other.coef_ = np.asfortranarray(other.coef_.astype(">f8"))

    for dump in (joblib_bytes, pickle.dumps):
        np.testing.assert_allclose(read_bytes(tmp_path, dump(other)).answer(X), expected, rtol=0, atol=1e-6)


def test_processes_are_not_the_files_to_start(tmp_path: Path) -> None:
    estimator = heads.fitted(lambda: heads.RandomForestClassifier(3, n_jobs=64, random_state=0), 3)

    assert read_bytes(tmp_path, pickle.dumps(estimator)).estimator.n_jobs is None


def test_the_oldest_joblib_whose_files_are_read() -> None:
    # Written by joblib 0.10.3, in whose sources `tostring`, gone from numpy, was changed to `tobytes`; scikit-learn
    # 1.9.1. An array of numbers, one of names and one of objects stand in it.
    folder = Path(__file__).parent / "data" / "joblib-0.10.3"
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))

    head = read_head(folder)

    np.testing.assert_allclose(head.answer(answers["embeddings"]), answers["probabilities"], rtol=0, atol=1e-12)
    assert head.classes == ("a", "b", "c", "d")


def test_another_version_is_no_warning(tmp_path: Path, logistic: LogisticRegression) -> None:
    data = joblib_bytes(logistic).replace(b"1.9.1", b"1.2.0")
    assert data != joblib_bytes(logistic)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_bytes(tmp_path, data)


def test_another_version_is_named_where_reading_fails(tmp_path: Path, logistic: LogisticRegression) -> None:
    data = pickle.dumps((logistic, np.arange(3.0))).replace(b"1.9.1", b"1.2.0")

    with pytest.raises(
        CheckpointError, match=r"found damage .*; it was written by scikit-learn 1.2.0 and is read by 1"
    ):
        read_bytes(tmp_path, data[:-9])


def test_a_module_that_the_installed_scikit_learn_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logistic: LogisticRegression
) -> None:
    monkeypatch.setitem(ESTIMATORS, "sklearn.linear_model._gonistic", ("LogisticRegression",))
    data = pickle.dumps(logistic).replace(b"_logistic", b"_gonistic").replace(b"1.9.1", b"1.2.0")

    with pytest.raises(CheckpointError, match=r"No module named .* it was written by scikit-learn 1.2.0"):
        read_bytes(tmp_path, data)


def test_what_no_answer_depends_on_is_left_out(tmp_path: Path, logistic: LogisticRegression) -> None:
    marked = copy.deepcopy(logistic)
    vars(marked).update(steps=[("a", logistic)], predict_proba=1, intercept_scaling=7, C=99.0, n_iter_=[])

    read = read_bytes(tmp_path, pickle.dumps(marked)).estimator

    assert vars(read).keys() <= vars(logistic).keys()
    assert (read.C, read.intercept_scaling) == (LogisticRegression().C, LogisticRegression().intercept_scaling)
    np.testing.assert_array_equal(read.predict_proba(X), logistic.predict_proba(X))


class TestAttacks:
    """Each tries to make a file; none may."""

    @pytest.fixture
    def marker(self, tmp_path: Path) -> Path:
        return tmp_path / "it ran"

    class Call:
        """Pickles as the call of a function."""

        def __init__(self, function: Any, *arguments: Any) -> None:
            self.call = function, arguments

        def __reduce__(self) -> Any:
            return self.call

    def attack(self, folder: Path, payload: Any, dump: Callable[[Any], bytes]) -> str:
        with pytest.raises(ExportError) as caught:
            read_bytes(folder, dump(payload))
        assert not (folder / "it ran").exists()
        return str(caught.value)

    @pytest.mark.parametrize("dump", FORMATS.values(), ids=FORMATS)
    def test_a_command(self, tmp_path: Path, marker: Path, dump: Callable[[Any], bytes]) -> None:
        message = self.attack(tmp_path, self.Call(os.system, f"touch '{marker}'"), dump)

        assert "asks for posix.system; no supported head needs that, and nothing was run; supported are" in message

    @pytest.mark.parametrize(
        ("function", "name"),
        [
            (eval, "builtins.eval"),  # noqa: S307 - named, not called
            (exec, "builtins.exec"),
            (getattr, "builtins.getattr"),
            (open, "io.open"),
            (__import__, "builtins.__import__"),
            (functools.partial, "functools.partial"),
            (functools.reduce, "functools.reduce"),
            (operator.attrgetter, "operator.attrgetter"),
            (operator.methodcaller, "operator.methodcaller"),
            (np.load, "numpy.load"),
            (np.fromfile, "numpy.fromfile"),
            (np.memmap, "numpy.memmap"),
            (np.frombuffer, "numpy.frombuffer"),
            (np.ctypeslib.load_library, "load_library"),
            (joblib.load, "joblib.numpy_pickle.load"),
            (joblib.Memory, "joblib.memory.Memory"),
            (torch.load, "torch.serialization.load"),
            (pickle.loads, "_pickle.loads"),
            (types.FunctionType, "builtins.function"),
            (sys.exit, "sys.exit"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_functions_that_do_something(self, tmp_path: Path, function: Any, name: str) -> None:
        data = b"\x80\x04" + b"c" + f"{function.__module__}\n{function.__qualname__}\n".encode() + b")R."

        message = self.attack(tmp_path, data, bytes)

        assert name.rsplit(".", 1)[-1] in message
        assert "no supported head needs that" in message

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("sklearn.linear_model._logistic", "LogisticRegression.fit"),
            ("sklearn.linear_model._logistic", "joblib"),
            ("sklearn.linear_model._logistic", "np.load"),
            ("sklearn.utils._testing", "raises"),
            ("sklearn.datasets._base", "load_files"),
            ("sklearn.utils", "os"),
            ("sklearn.pipeline", "make_pipeline"),
            ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
            ("sklearn.neighbors._kd_tree", "KDTree"),
            ("numpy", "os"),
            ("numpy._core.multiarray", "fromfile"),
            ("numpy.random._pickle", "__name__"),
            ("joblib.numpy_pickle", "os"),
            ("joblib.numpy_pickle", "NDArrayWrapper"),  # of joblib before 0.10, which writes each array to its own file
            ("torch.storage", "torch"),
            ("copyreg", "_reconstructor"),
            ("antigravity", "fly"),
            ("", ""),
        ],
    )
    def test_names_beside_the_admitted_ones(self, tmp_path: Path, module: str, name: str) -> None:
        def short(text: str) -> bytes:
            return b"\x8c" + bytes([len(text.encode())]) + text.encode()

        message = self.attack(tmp_path, b"\x80\x04" + short(module) + short(name) + b"\x93.", bytes)

        assert f"asks for {module}.{name}; no" in message
        assert "antigravity" not in sys.modules

    def test_inside_an_array_of_objects(self, tmp_path: Path, marker: Path) -> None:
        payload = np.asarray([self.Call(os.system, f"touch '{marker}'"), 1], dtype=object)

        for dump in FORMATS.values():
            assert "posix.system" in self.attack(tmp_path, payload, dump)

    def test_inside_an_estimator(self, tmp_path: Path, marker: Path) -> None:
        estimator = heads.fitted(LogisticRegression, 2)
        estimator.C = self.Call(os.system, f"touch '{marker}'")

        assert "posix.system" in self.attack(tmp_path, estimator, joblib_bytes)

    @pytest.mark.parametrize(
        "opcodes",
        [
            b"(cos\nsystem\nU\x04trueo.",
            b"(S'true'\nios\nsystem\n.",
            b"\x80\x02cnumpy\nndarray\n)}\x92.",
            b"\x80\x02\x82\x01.",
            b"Pname\n.",
            b"\x80\x02K\x01Q.",
            b"\x80\x05\x97.",
        ],
        ids=["OBJ", "INST", "NEWOBJ_EX", "EXT1", "PERSID", "BINPERSID", "NEXT_BUFFER"],
    )
    def test_other_ways_to_make_an_object(self, tmp_path: Path, opcodes: bytes) -> None:
        self.attack(tmp_path, opcodes, bytes)

    CLASS = b"csklearn.linear_model._logistic\nLogisticRegression\n"

    @pytest.mark.parametrize(
        ("opcodes", "message"),
        [
            (CLASS + b"N}U\x05solveU\x01xs\x86b.", "to change sklearn.linear_model._logistic.LogisticRegression that"),
            (CLASS + b")R.", "to call sklearn.linear_model._logistic.LogisticRegression;"),
            (CLASS + b"K\x01\x85\x81.", "to make sklearn.linear_model._logistic.LogisticRegression of something"),
            (CLASS + b")\x81N}U\x01xK\x01s\x86b.", "of another state than a dict"),
            (CLASS + b")\x81}b}b.", "to change a LogisticRegression that is there already"),
            (b"cnumpy\nndarray\nK\x09\x85R.", "to call numpy.ndarray;"),
            (b"cnumpy\nndarray\n)\x81.", "to make numpy.ndarray of something"),
            (b"ccollections\nOrderedDict\n(lp0\n\x85R.", "to call collections.OrderedDict;"),
            (
                b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(K\x00tC\x01btR.",
                "the head is an array: not supported",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_admitted_names_put_to_another_use(self, tmp_path: Path, opcodes: bytes, message: str) -> None:
        assert message in self.attack(tmp_path, b"\x80\x02" + opcodes, bytes)
        assert LogisticRegression().solver == "lbfgs"

    ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    ARMED = CLASS + b")\x81}(X\x06\x00\x00\x00appendh\x09X\x06\x00\x00\x00extendh\x09X\x03\x00\x00\x00addh\x09ub"

    @pytest.mark.parametrize(
        ("opcodes", "message"),
        [
            (ARRAY + b"K\x00K\x01s.", "to fill an array"),
            (ARRAY + b"(K\x00K\x01u.", "to fill an array"),
            (CLASS + b"q\x090" + ARMED + b"K\x01a.", "to fill a LogisticRegression"),
            (CLASS + b"q\x090" + ARMED + b"(K\x01e.", "to fill a LogisticRegression"),
            (CLASS + b"q\x090" + ARMED + b"(K\x01\x90.", "to fill a LogisticRegression"),
            (b"]K\x00K\x01s.", "to fill a list"),
        ],
        ids=["SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS", "a list by index"],
    )
    def test_filling_what_is_no_plain_container(self, tmp_path: Path, opcodes: bytes, message: str) -> None:
        # Python's own would write into the array, and call the class that the file put in the place of a method.
        assert message in self.attack(tmp_path, b"\x80\x04" + opcodes, bytes)

    def test_deep(self, tmp_path: Path) -> None:
        estimator: Any = LogisticRegression()
        for _ in range(300):
            estimator = FrozenEstimator(estimator)
        deep = b"".join(
            [
                b"\x80\x02",
                b"csklearn.frozen._frozen\nFrozenEstimator\n)\x81}U\x09estimator" * 50_000,
                b"N",
                b"sb" * 50_000,
                b".",
            ]
        )

        assert "damage (RecursionError" in self.attack(tmp_path, deep, bytes)
        assert "found no classes_" in self.attack(tmp_path, estimator, pickle.dumps)

    def test_pickles_in_pickles_in_pickles(self, tmp_path: Path) -> None:
        # joblib's description of an array of objects is followed by a pickle: here by the same again, and again
        state = b"}(U\x08subclasscnumpy\nndarray\nU\x05shapeK\x01\x85U\x05orderU\x01C"
        state += b"U\x05dtypecnumpy\ndtype\nU\x01O\x85Ru"
        layer = b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b"

        assert "damage (RecursionError" in self.attack(tmp_path, layer * 5_000, bytes)

    @pytest.mark.parametrize(
        "data",
        [
            b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
            b"\x80\x05\x96" + struct.pack("<Q", (1 << 64) - 1) + b"x.",
            b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
            b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"x.",
            b"\x80\x04K\x01r\xff\xff\xff\xff",
        ],
        ids=["bytearray", "bytearray, larger", "bytes", "frame", "memo"],
    )
    def test_numbers_that_promise_gigabytes(self, tmp_path: Path, data: bytes) -> None:
        assert "found damage" in self.attack(tmp_path, data, bytes)

    @pytest.mark.parametrize(
        "compress",
        [zlib.compress, gzip.compress, bz2.compress, lzma.compress],
        ids=["zlib", "gzip", "bz2", "xz"],
    )
    def test_a_small_file_that_unpacks_to_much(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes]
    ) -> None:
        monkeypatch.setattr(compressed_module, "MAX_BYTES", 100_000)

        assert "of more than 100000 bytes" in self.attack(tmp_path, compress(bytes(10_000_000)), bytes)

    def test_a_file_that_takes_much_to_unpack(self, tmp_path: Path) -> None:
        data = bytearray(lzma.compress(b"\x80\x04N.", format=lzma.FORMAT_ALONE))
        data[1:5] = struct.pack("<I", 1 << 30)  # the size of its dictionary

        assert "Memory usage limit" in self.attack(tmp_path, bytes(data), bytes)

    def test_a_compressed_file_that_is_cut_short(self, tmp_path: Path, logistic: LogisticRegression) -> None:
        for kind in ("zlib", "gzip", "bz2", "xz"):
            data = joblib_bytes(logistic, compress=(kind, 3))
            assert "cut short" in self.attack(tmp_path, data[: len(data) // 2], bytes)


def set_at(field: str | None, index: Any, value: Any) -> Callable[[Any], None]:
    def change(array: Any) -> None:
        (array if field is None else array[field])[index] = value

    return change


def record(name: str, *arguments: Any, state: Any = None) -> Record:
    return Record(Name("", name), arguments, state)


def dtype(code: Any, state: Any = (3, "<", None, None, None, -1, -1, 0)) -> Record:
    return record("dtype", code, False, True, state=state)


def structure(fields: dict[str, Any]) -> Record:
    return dtype("V8", (3, "|", None, ("a",), fields, 8, 1, 16))


def array(kind: Record, data: Any, shape: Any = (1,)) -> Record:
    return record("_reconstruct", Name("numpy", "ndarray"), (0,), b"b", state=(1, shape, kind, False, data))


class TestMadeUpArrays:
    """Indices that scikit-learn's compiled code would follow out of its memory."""

    @pytest.mark.parametrize(
        ("field", "value"),
        [("left_child", 10**6), ("left_child", 0), ("right_child", -2), ("feature", 16), ("feature", -5)],
    )
    def test_nodes_of_a_tree(self, tmp_path: Path, field: str, value: int) -> None:
        tree = heads.fitted(heads.CONVERTED["DecisionTreeClassifier"], 3)
        state = tree.tree_.__getstate__()
        state["nodes"] = state["nodes"].copy()
        state["nodes"][field][0] = value

        class Pickler(pickle.Pickler):
            def reducer_override(self, value: Any) -> Any:
                return (*value.__reduce__()[:2], state) if value is tree.tree_ else NotImplemented

        file = io.BytesIO()
        Pickler(file).dump(tree)

        with pytest.raises(CheckpointError, match="a tree whose nodes lead nowhere"):
            read_bytes(tmp_path, file.getvalue())

    @pytest.mark.parametrize(
        ("field", "value"), [("left", 10**6), ("left", 0), ("right", 0), ("feature_idx", 16), ("is_categorical", 1)]
    )
    def test_nodes_of_hist_boosting(self, tmp_path: Path, field: str, value: int) -> None:
        estimator = heads.fitted(heads.CONVERTED["HistGradientBoostingClassifier"], 3)
        estimator._predictors[0][0].nodes[field][0] = value

        with pytest.raises(CheckpointError, match="expected trees whose nodes lead on, found damage"):
            heads.read(tmp_path, estimator)

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("KNeighborsClassifier", lambda e: set_at(None, 0, 99)(e._y)),
            ("KNeighborsClassifier", lambda e: vars(e).update(_fit_X=e._fit_X[:-1])),
            ("KNeighborsClassifier", lambda e: vars(e).update(n_neighbors=10**6)),
            ("KNeighborsClassifier", lambda e: vars(e).update(_y=None)),
            ("SVC", lambda e: vars(e).update(support_vectors_=e.support_vectors_[:-1])),
            ("SVC", lambda e: set_at(None, 0, 10**6)(e._n_support)),
            ("SVC", lambda e: vars(e).update(_intercept_=e._intercept_[:1])),
            ("SVC", lambda e: vars(e).update(_probA=np.zeros(2))),
            ("GradientBoostingClassifier", lambda e: vars(e).update(estimators_=e.estimators_[:, :1])),
            ("GradientBoostingClassifier", lambda e: vars(e.estimators_[0, 0]).update(tree_=None)),
            ("GradientBoostingClassifier", lambda e: vars(e).update(n_features_in_=3)),
            ("RandomForestClassifier", lambda e: vars(e).update(n_features_in_=3)),
            ("RandomForestClassifier", lambda e: vars(e.estimators_[0]).update(tree_=1)),
            ("RandomForestClassifier", lambda e: vars(e).update(classes_=e.classes_[:2])),
            ("RandomForestClassifier", lambda e: e.estimators_.clear()),
            ("DecisionTreeClassifier", lambda e: vars(e).update(classes_=e.classes_[:2])),
            ("KNeighborsClassifier", lambda e: vars(e).update(_y=e._y[:, None])),
            ("HistGradientBoostingClassifier", lambda e: e._predictors[0].pop()),
        ],
    )
    def test_parts_that_do_not_fit_together(self, tmp_path: Path, name: str, change: Callable[[Any], None]) -> None:
        estimator = heads.fitted(heads.CONVERTED[name], 3)
        change(estimator)

        with pytest.raises(CheckpointError, match=f"{name}: expected .*found|where a Tree stands, .*in {name}"):
            heads.read(tmp_path, estimator)

    @pytest.mark.parametrize(
        "value",
        [
            array(dtype("f8,O"), bytes(8)),
            array(dtype(np.float64), bytes(8)),
            array(record("dtype"), bytes(8)),
            array(dtype("f8", state=None), bytes(8)),
            array(dtype("f8", state=(3, "<", (np.dtype("f8"), (9,)), None, None, -1, -1, 0)), bytes(8)),
            array(dtype("f8", state=(4, "<", None, None, None, -1, -1, 0, {})), bytes(8)),
            array(dtype("S0"), b"", (1 << 32,)),
            array(dtype("U0"), b"", (1 << 32,)),
            array(dtype("V0"), b"", (1 << 32,)),
            array(dtype("V8"), bytes(8)),
            array(structure({"a": (dtype("f8"), 4)}), bytes(8)),
            array(structure({"a": (dtype("f8"), -4)}), bytes(8)),
            array(structure({"a": (dtype("O"), 0)}), bytes(8)),
            array(structure({"a": (structure({"a": (dtype("f8"), 0)}), 0)}), bytes(8)),
            array(structure({"a": (dtype("f8"), 0, "title")}), bytes(8)),
            array(structure({"b": (dtype("f8"), 0)}), bytes(8)),
            array(dtype("O"), []),
            array(dtype("O"), [[1]]),
            array(dtype("f8"), b"short"),
            array(dtype("f8"), bytes(8), (-1,)),
            array(dtype("f8"), bytes(8), (True,)),
            array(dtype("f8"), b"", (1 << 62, 0)),
            array(dtype("f8"), bytes(8), (1 << 62, 8)),
            array(dtype("f8"), "8 bytes!"),
            record("_reconstruct", Name("numpy", "ndarray"), (0,), b"b", state=b"state"),
            record("_reconstruct", Name("numpy", "ndarray"), (0,), b"b"),
            record("_reconstruct", (0,), state=(1, (1,), dtype("f8"), False, bytes(8))),
            record("_frombuffer", bytes(8), dtype("f8"), (1,), "K"),
            record("_frombuffer", b"short", dtype("f8"), (9,), "C"),
            record("_frombuffer", bytes(8), dtype("O"), (1,), "C"),
        ],
    )
    def test_arrays_that_numpy_would_take_unchecked(self, value: Record) -> None:
        with pytest.raises((Damaged, ValueError)):
            array_of(value)

    @pytest.mark.parametrize(
        "value",
        [
            record("scalar", dtype("O"), bytes(8)),
            record("scalar", dtype("f8"), b"short"),
            record("scalar", dtype("S0"), b""),
            record("scalar", structure({"a": (dtype("f8"), 0)}), bytes(8)),
            record("scalar"),
            (1,),
            [1],
        ],
    )
    def test_numbers_that_numpy_would_take_unchecked(self, value: object) -> None:
        with pytest.raises(Damaged):
            plain(value)

    @pytest.mark.parametrize(
        ("features", "classes", "outputs"),
        [
            (4, np.asarray([2]), 1_000_000),
            (4, np.asarray([2], dtype=np.int32), 1),
            (4, np.asarray([-2]), 1),
            (4, np.asarray([], dtype=np.intp), 0),
            (-4, np.asarray([2]), 1),
            (1 << 32, np.asarray([2]), 1),
            ("4", np.asarray([2]), 1),
        ],
    )
    def test_trees_that_scikit_learn_would_take_unchecked(self, features: Any, classes: Any, outputs: Any) -> None:
        with pytest.raises(Damaged, match="without features or classes"):
            check_tree_parts(features, classes, outputs, {})


def test_a_file_that_is_no_pickle(tmp_path: Path) -> None:
    for data in (b"", b"hello", b"\x80", b"\x80\x04.", b"\x80\x04N", b"\xff" * 100, b"\x93NUMPY" + bytes(50)):
        with pytest.raises(CheckpointError, match="expected a pickled head, found damage"):
            read_bytes(tmp_path, data)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "model_head.pkl").mkdir()

    with pytest.raises(CheckpointError, match=r"found none"):
        read_head(tmp_path)


def test_cut_short_anywhere(tmp_path: Path, logistic: LogisticRegression) -> None:
    for data in (joblib_bytes(logistic), pickle.dumps(logistic, 5)):
        for length in range(0, len(data), 7):
            with pytest.raises(CheckpointError, match="found damage"):
                read_bytes(tmp_path, data[:length])


def test_class_names_beyond_unicode(tmp_path: Path, logistic: LogisticRegression) -> None:
    data = pickle.dumps(logistic, 4)
    name = "b".encode("utf-32-le") + bytes(4)
    assert name in data

    with pytest.raises(CheckpointError, match=r"found damage \(SystemError"):
        read_bytes(tmp_path, data.replace(name, bytes.fromhex("ffffff7f") + bytes(4), 1))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_bytes_changed_anywhere_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, logistic: LogisticRegression, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    changed = bytearray(data.draw(st.sampled_from([joblib_bytes(logistic), pickle.dumps(logistic, 5)])))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))

    with contextlib.suppress(CheckpointError, UnsupportedCheckpoint):  # any other error, or a warning, fails
        read_bytes(folder, bytes(changed))


def test_what_is_admitted_is_what_the_installed_scikit_learn_writes(tmp_path: Path) -> None:
    # each supported head once more, so that a name that a new version adds shows up here by itself
    known = {
        (module, name)
        for table in (CALLS, ESTIMATORS, LEFT_OUT, MENTIONED, STATES)
        for module, names in table.items()
        for name in names
    }
    for make in (*heads.LINEAR.values(), *heads.CONVERTED.values()):
        file = tmp_path / "head.pkl"
        file.write_bytes(pickle.dumps(heads.fitted(make, 2), 2))
        used = {
            tuple(arg.split(" ")) for code, arg, _ in pickletools.genops(file.read_bytes()) if code.name == "GLOBAL"
        }
        assert used <= known


class TestSetFitHead:
    """SetFit's differentiable head, pickled as its torch module."""

    @pytest.fixture
    def setfit_head(self, monkeypatch: pytest.MonkeyPatch) -> type[torch.nn.Module]:
        """SetFit 1.2's class, as far as pickling and answering go, under its name."""

        class SetFitHead(torch.nn.Module):
            def __init__(self, width: int, labels: int, **settings: Any) -> None:
                super().__init__()
                self.linear = torch.nn.Linear(width, labels, bias=settings.get("bias", True))
                self.in_features, self.out_features = width, labels
                self.temperature, self.eps = settings.get("temperature", 1.0), 1e-5
                self.multitarget = settings.get("multitarget", False)
                self._device = settings.get("device", "cpu")

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                logits = self.linear(x) / (self.temperature + self.eps)
                return torch.sigmoid(logits) if self.multitarget else torch.nn.functional.softmax(logits, dim=-1)

        module = types.ModuleType("setfit.modeling")
        module.SetFitHead = SetFitHead  # type: ignore[attr-defined]
        SetFitHead.__module__, SetFitHead.__qualname__ = "setfit.modeling", "SetFitHead"
        monkeypatch.setitem(sys.modules, "setfit", types.ModuleType("setfit"))
        monkeypatch.setitem(sys.modules, "setfit.modeling", module)
        return SetFitHead

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"temperature": 0.3},
            {"multitarget": True, "temperature": 2.0},
            {"bias": False},
            {"device": torch.device("cpu")},
        ],
        ids=["softmax", "temperature", "sigmoids", "no bias", "a torch.device"],
    )
    @pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")  # torch's own, when it pickles
    def test_the_graph_answers_as_the_module(
        self, tmp_path: Path, setfit_head: type[torch.nn.Module], options: dict[str, Any]
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = setfit_head(heads.WIDTH, 3, **options)
        with torch.no_grad():
            expected = module(torch.from_numpy(X)).numpy()

        head = heads.read(tmp_path, module)

        assert (head.kind, head.classes, head.width) == ("SetFitHead", ("0", "1", "2"), heads.WIDTH)
        assert head.multi_label is options.get("multitarget", False)
        np.testing.assert_allclose(head.answer(X), expected, rtol=0, atol=1e-6)  # float32 there, float64 here
        np.testing.assert_allclose(heads.HeadGraph(head).answer(X), expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize(
        ("labels", "spoil", "message"),
        [
            (1, lambda _: None, "two labels or more, found 1"),
            (
                3,
                lambda m: m.linear.weight.data.fill_(float("nan")),
                "expected finite weights and a temperature above 0",
            ),
            (3, lambda m: setattr(m, "temperature", -1.0), "a temperature above 0"),
            (3, lambda m: m._modules.pop("linear"), "expected a linear layer with a weight"),
        ],
        ids=["one label", "NaN", "temperature", "no layer"],
    )
    @pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")
    def test_what_is_wrong_is_named(
        self,
        tmp_path: Path,
        setfit_head: type[torch.nn.Module],
        labels: int,
        spoil: Callable[[Any], Any],
        message: str,
    ) -> None:
        module = setfit_head(heads.WIDTH, labels)
        spoil(module)

        with pytest.raises(CheckpointError, match=f"model_head.pkl: SetFitHead: .*{message}"):
            heads.read(tmp_path, module)

    def test_setfit_is_not_imported(self, tmp_path: Path, setfit_head: type[torch.nn.Module]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            heads.saved(tmp_path, setfit_head(heads.WIDTH, 2))
        del sys.modules["setfit.modeling"], sys.modules["setfit"]

        read_head(tmp_path)

        assert "setfit" not in sys.modules
