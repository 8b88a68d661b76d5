"""Where a classifier comes from, so that another process can load the same."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from ._alongside import Alongside
from ._batching import Limits
from ._bundle import Bundle
from ._counters import Counters
from ._engine import BF16, Engine, import_engine, load_graph
from ._errors import UsageError
from ._manifest import Manifest
from ._model import Model
from ._processor import has_bf16, int8_is_fast
from ._variant import Precision, Target, Variant


@dataclass(frozen=True, slots=True)
class Source:
    """The arguments of `Classifier.load`.

    Attributes:
        bundle: The folder, or the Hub id.
        device: `auto` or a `Target`.
        precision: A `Precision`, `bf16`, or None for the fastest.
        engine: An `Engine`.
        threads: Threads inside one run, or None for as many as the process may use.
        revision: Of a bundle on the Hub; None for the main branch.
        limits: How texts share runs of the graph.
    """

    bundle: str | Path
    device: str
    precision: str | None
    engine: str
    threads: int | None
    revision: str | None
    limits: Limits

    def choose(self) -> tuple[Bundle, Variant]:
        """Find the bundle and the graph.

        Raises:
            UsageError: `device`, `precision` or `engine` is out of its range or not to be had, the graph's precision is
                not for the engine on this processor, or `revision` is given for a folder.
            BundleError: It is no bundle, is damaged, is of a newer format, or has no such graph.
        """
        target = Target.CPU if self.device == "auto" else _choice(Target, "device", self.device, "auto")
        engine = _choice(Engine, "engine", self.engine)
        wanted = Precision.FP32 if self._bf16(engine) else None
        if self.precision not in (None, BF16):  # no set: it may be unhashable
            wanted = _choice(Precision, "precision", self.precision, BF16)
        bundle = Bundle(self.bundle, self.revision)
        variant = bundle.manifest.variant(precision=wanted, target=target, int8_is_fast=int8_is_fast())
        if engine is Engine.OPENVINO and variant.precision is Precision.INT8 and not int8_is_fast():
            raise UsageError(
                "precision: int8 in OpenVINO is for processors with VNNI: without, its sums of 8-bit products overflow "
                'and the bundle\'s parity does not hold; pass precision="fp32" or engine="onnxruntime"'
            )
        return bundle, variant

    def at(self, bundle: Bundle) -> "Source":
        """Give the source of the very bundle that was found, whatever the working folder or the branch become."""
        address, commit = bundle.address
        return dataclasses.replace(self, bundle=address, revision=commit)

    def load(self, bundle: Bundle, manifest: Manifest, variant: Variant, counters: Counters) -> Model:
        """Read the files and make them ready.

        Args:
            bundle: Where the files are.
            manifest: What they must be.
            variant: Which graph.
            counters: Where its runs are counted.

        Raises:
            UsageError: `threads` is out of its range, or the device is not to be had.
            BundleError: A file is not what the manifest says.
            HubError: The Hub did not give a file.
            MissingExtra: The engine is not installed.
        """
        engine = Engine(self.engine)
        definition = bundle.read(manifest.tokenizer)
        with (
            bundle.open(variant.file) as file,
            Alongside(lambda: file.checked(by_name=engine.takes_names)) as check,
        ):
            import_engine(engine)
            from ._tokenizer import Tokenizer  # with its library, which takes a while to import

            tokenizer = Tokenizer(definition, manifest.max_length, manifest.prompt)
            graph = load_graph(engine, check.result(), variant, threads=self.threads, bf16=self._bf16(engine))
        return Model(manifest, tokenizer, graph, counters, self.limits.max_batch_tokens)

    def _bf16(self, engine: Engine) -> bool:
        if self.precision != BF16:
            return False
        if engine is not Engine.OPENVINO:
            raise UsageError(
                f'precision: bf16 is the fp32 graph in OpenVINO, got engine="{engine}"; pass engine="openvino"'
            )
        if not has_bf16():
            raise UsageError("precision: expected a processor with avx512_bf16 or amx_bf16 for bf16; pass another one")
        return True


_Choice = TypeVar("_Choice", bound=StrEnum)


def _choice(kind: type[_Choice], name: str, value: object, *others: str) -> _Choice:
    found = next((each for each in kind if each == value), None)
    if found is None:
        raise UsageError(f"{name}: expected one of {', '.join([*others, *kind])}, got {value!r}")
    return found
