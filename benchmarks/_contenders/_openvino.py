# mypy: disable-error-code="import-not-found,import-untyped"
"""OpenVINO on the traced graph: as it is, in bf16, and quantised by NNCF."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks._files import ROOT

from ._body import Body
from ._contender import Models
from ._padded import Batch, Padded


class Openvino(Padded):
    """One text on all threads; many texts on a stream a thread."""

    def __init__(self, models: Models, threads: int, *, file: str, precision: str = "") -> None:
        """Load a file below the artefacts.

        Args:
            models: Its artefacts, checkpoint and head are read.
            threads: Of the engine.
            file: Below the artefacts.
            precision: What operators that are not quantised compute in; empty for what OpenVINO takes on this machine.
        """
        import openvino

        super().__init__(models, shares=threads)
        core = openvino.Core()
        model = core.read_model(models.artefacts / file)
        hints: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads}
        if precision:
            hints["INFERENCE_PRECISION_HINT"] = precision
        one = core.compile_model(model, "CPU", {**hints, "PERFORMANCE_HINT": "LATENCY"})
        self._request = one.create_infer_request()
        self._inputs = [port.any_name for port in one.inputs]
        self._streams = None
        if threads > 1:
            streams = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads}
            self._streams = openvino.AsyncInferQueue(core.compile_model(model, "CPU", {**hints, **streams}), threads)
            self._streams.set_callback(_keep)

    def run(self, batches: list[Batch]) -> Iterable[npt.NDArray[np.float32]]:
        """One after the other, or a stream each."""
        if self._streams is None or len(batches) == 1:
            return (self._request.infer(batch.feed(self._inputs))[0] for batch in batches)
        kept: dict[int, npt.NDArray[np.float32]] = {}
        for index, batch in enumerate(batches):
            self._streams.start_async(batch.feed(self._inputs), (kept, index))
        self._streams.wait_all()
        return [kept[index] for index in range(len(batches))]


def _keep(request: Any, place: tuple[dict[int, npt.NDArray[np.float32]], int]) -> None:
    kept, index = place
    kept[index] = request.get_output_tensor(0).data.copy()  # the request's memory is used again


def convert(models: Models, folder: Path) -> None:
    """Write the traced graph in OpenVINO's own format, in full precision: `model.xml`."""
    import openvino

    traced = openvino.convert_model(models.artefacts / "traced" / "onnx" / "model.onnx")
    openvino.save_model(traced, folder / "model.xml", compress_to_fp16=False)


def quantize(models: Models, folder: Path) -> None:
    """Quantise the traced graph with NNCF as its guide does for transformers: `model.xml`.

    The calibration texts are the support desk's: customers' questions, none of them in any measurement.
    """
    import nncf
    import openvino

    model = openvino.Core().read_model(models.artefacts / "openvino" / "model.xml")
    inputs = [port.any_name for port in model.inputs]
    rows = ROOT / "benchmarks" / "data" / "support_desk" / "train.jsonl"
    texts = [json.loads(line)["text"] for line in rows.read_text(encoding="utf-8").splitlines()]
    tokenizer = Body.read(models.checkpoint).tokenizer()

    def feed(text: str) -> dict[str, npt.NDArray[np.int64]]:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        return Batch(np.zeros(1, dtype=np.int64), ids, np.ones_like(ids)).feed(inputs)

    dataset = nncf.Dataset(texts, feed)
    quantized = nncf.quantize(model, dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts))
    openvino.save_model(quantized, folder / "model.xml", compress_to_fp16=False)
