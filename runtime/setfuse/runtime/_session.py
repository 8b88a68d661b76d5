"""Run one fused graph in onnxruntime, on the CPU."""

import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._cpus import available_cpus, check_threads
from ._engine import is_own_error
from ._errors import BundleCorrupt, MissingExtra
from ._processor import int8_is_fast
from ._variant import ATTENTION_MASK, INPUT_IDS, Variant

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"

SLOWER_FUSIONS = ["SkipLayerNormFusion", "BiasGeluFusion"]
"""On the CPU, Add and LayerNormalization, and Add and Gelu, are faster apart than in one kernel of onnxruntime's."""

IDLE_PASSES = ["ConstantSharing", "GemmActivationFusion"]
"""Passes that gain nothing in such graphs, and cost some milliseconds of a load each: the graph is resolved anew."""

_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"

# A child that is forked while another thread creates a session inherits locks of onnxruntime's that nobody will let go
# of. So a fork waits until the session is there.
_CREATING = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_CREATING.acquire, after_in_parent=_CREATING.release, after_in_child=_CREATING.release)


class Session:
    """A graph, loaded and ready to run on the CPU."""

    def __init__(self, model: str | bytes, variant: Variant, *, threads: int | None) -> None:
        """Load the graph.

        Args:
            model: The ONNX file's name, or its bytes: onnxruntime copies these, once more than it does a file.
            variant: What the manifest says of them.
            threads: Threads inside one run; None for as many as this process may use.

        Raises:
            MissingExtra: onnxruntime is not installed.
            UsageError: `threads` is out of its range.
            BundleCorrupt: onnxruntime refuses the file, or it is another graph than the manifest says.
        """
        check_threads(threads)
        options = _options(import_onnxruntime(), threads)
        try:
            self._session = create_session(model, options, [(CPU, {})], disabled=[*SLOWER_FUSIONS, *IDLE_PASSES])
        except Exception as error:  # onnxruntime's exceptions have no common base but this one
            if not is_own_error(error, "onnxruntime"):
                raise
            raise BundleCorrupt(f"{variant.file.file}: onnxruntime refuses the graph: {error}") from error
        check_interface(self._session, variant)
        self._file = variant.file.file
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in variant.inputs}

    def run(self, input_ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
        """Run one batch of texts that all have the same number of tokens.

        Args:
            input_ids: int64 (texts, tokens).
            outputs: Which of the scores and `sentence_embedding` to compute.

        Returns:
            float32 arrays (texts, labels) or (texts, dim), in the order of `outputs`.

        Raises:
            BundleCorrupt: onnxruntime fails, as with token ids that the graph does not know.
        """
        feeds = {INPUT_IDS: input_ids.astype(self._dtypes[INPUT_IDS], copy=False)}
        if ATTENTION_MASK in self._dtypes:
            feeds[ATTENTION_MASK] = np.ones_like(input_ids, dtype=self._dtypes[ATTENTION_MASK])
        try:
            results: list[npt.NDArray[np.float32]] = self._session.run(outputs, feeds)
        except Exception as error:  # as above
            if not is_own_error(error, "onnxruntime"):
                raise
            raise BundleCorrupt(
                f"{self._file}: onnxruntime fails on token ids of the shape {input_ids.shape}: {error}; "
                "export the bundle again"
            ) from error
        return results


def create_session(
    model: str | bytes,
    options: "onnxruntime.SessionOptions",
    providers: Sequence[tuple[str, dict[str, str]]],
    *,
    disabled: Sequence[str] = (),
) -> "onnxruntime.InferenceSession":
    """Load a graph, while nobody forks this process.

    Args:
        model: The ONNX file's name, or its bytes.
        options: Of the session.
        providers: onnxruntime's, each with its options. It never goes on with others.
        disabled: Passes of onnxruntime's optimizer that are left out.

    Raises:
        Exception: Whatever onnxruntime raises.
    """
    onnxruntime = import_onnxruntime()
    with _CREATING:
        return onnxruntime.InferenceSession(
            model, options, list(providers), disabled_optimizers=list(disabled), enable_fallback=0
        )


def check_interface(session: "onnxruntime.InferenceSession", variant: Variant) -> None:
    """Compare a session's inputs and outputs with the manifest's.

    Raises:
        BundleCorrupt: The graph is another than the manifest describes.
    """
    for promised, found in ((variant.inputs, session.get_inputs()), (variant.outputs, session.get_outputs())):
        expected = [(tensor.name, f"tensor({tensor.dtype})", list(tensor.shape)) for tensor in promised]
        got = [(tensor.name, tensor.type, tensor.shape) for tensor in found]
        if expected != got:
            raise BundleCorrupt(f"{variant.file.file}: expected {expected} as bundle.json says, found {got}")


def import_onnxruntime() -> "onnxruntime":
    """Import onnxruntime, without its telemetry.

    Release 1.32's sends from a thread of its own; a forked child that inherits it never ends when it exits. Who wants
    it sets ORT_DISABLE_TELEMETRY=0, or imports onnxruntime first.

    Raises:
        MissingExtra: It is not installed.
    """
    ours = "onnxruntime" not in sys.modules and _NO_TELEMETRY not in os.environ
    if ours:
        os.environ[_NO_TELEMETRY] = "1"  # it is read at the import, and at no other time
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(
            'setfuse.runtime needs onnxruntime to run a graph: pip install "setfuse[cpu]" '
            '(or "setfuse[gpu]" on a machine with CUDA)'
        ) from error
    finally:
        if ours:
            os.environ.pop(_NO_TELEMETRY, None)
    return onnxruntime


def quiet_options(onnxruntime: "onnxruntime") -> "onnxruntime.SessionOptions":
    """Make options of a session that writes nothing to stderr but what is fatal: errors arrive as exceptions."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.inter_op_num_threads = 1
    return options


def _options(onnxruntime: "onnxruntime", threads: int | None) -> "onnxruntime.SessionOptions":
    options = quiet_options(onnxruntime)
    options.intra_op_num_threads = threads or available_cpus()
    # A waiting thread that spins burns a core between the calls of a service.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not int8_is_fast():
        # Sums of 8-bit products would overflow. Where they do not, this costs a third of the time for nothing.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options
