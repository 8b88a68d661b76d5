"""Where a classifier comes from, so that another process can load the same."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ._alongside import Alongside
from ._batching import MAX_BATCH_TOKENS, MAX_GPU_BATCH_TOKENS, Limits
from ._bundle import Bundle
from ._choice import Choice
from ._counters import Counters
from ._cpus import available_cpus, check_threads
from ._device import Device, choose
from ._engine import BF16, Engine, Runs, import_engine, is_installed, load_graph
from ._errors import UsageError
from ._graph import Graph, Runner
from ._manifest import Manifest
from ._model import Model
from ._processor import processor_flags
from ._variant import Precision

if TYPE_CHECKING:
    from ._cuda_options import CudaOptions
    from ._driver import Gpu


@dataclass(frozen=True, slots=True)
class Source:
    """The arguments of `Classifier.load`.

    Attributes:
        bundle: The folder, or the Hub id.
        device: `auto`, `cpu`, `cuda`, or `cuda:N`.
        precision: A `Precision`, `bf16`, or None for the fastest.
        engine: An `Engine`, or None for the one that suits.
        threads: Threads at work for one call, or None for as many as the process may use.
        revision: Of a bundle on the Hub; None for the main branch.
        limits: How texts share runs of the graph.
        cuda: How a GPU is used; None for the defaults.
    """

    bundle: str | Path
    device: str
    precision: str | None
    engine: str | None
    threads: int | None
    revision: str | None
    limits: Limits
    cuda: "CudaOptions | None"

    def choose(self) -> tuple[Bundle, Choice]:
        """Find the bundle, the graph and the engine.

        Raises:
            UsageError: `device`, `precision` or `engine` is out of its range, the graph's precision is not for the
                engine on this device, or `revision` is given for a folder.
            DeviceUnavailable: A GPU was asked for and cannot be used.
            BundleError: It is no bundle, is damaged, is of a newer format, or has no such graph.
        """
        bundle = Bundle(self.bundle, self.revision)
        return bundle, choose_here(bundle.manifest, self.device, self.precision, self.engine)

    def at(self, bundle: Bundle) -> "Source":
        """Give the source of the very bundle that was found, whatever the working folder or the branch become."""
        address, commit = bundle.address
        return dataclasses.replace(self, bundle=address, revision=commit)

    def load(self, bundle: Bundle, manifest: Manifest, choice: Choice, counters: Counters) -> Model:
        """Read the files and make them ready.

        Args:
            bundle: Where the files are.
            manifest: What they must be.
            choice: Which graph, and what runs it.
            counters: Where its runs are counted.

        Raises:
            UsageError: `threads` is out of its range.
            DeviceUnavailable: The GPU cannot be used.
            DeviceOutOfMemory: The graph does not fit into its memory.
            BundleError: A file is not what the manifest says.
            HubError: The Hub did not give a file.
            MissingExtra: The engine is not installed.
        """
        check_threads(self.threads)
        engine, variant = choice.engine, choice.variant
        definition = bundle.read(manifest.tokenizer)
        with (
            bundle.open(variant.file) as file,
            Alongside(lambda: file.checked(by_name=engine.takes_names)) as check,
        ):
            import_engine(engine)
            from ._tokenizer import Tokenizer  # with its library, which takes a while to import

            tokenizer = Tokenizer(definition, manifest.max_length, manifest.prompt)
            model = check.result()
            if choice.gpu is None:
                max_tokens = self.limits.max_batch_tokens or MAX_BATCH_TOKENS
                runner: Runner = self._on_cpu(model, bundle, choice)
            else:
                max_tokens = self.limits.max_batch_tokens or MAX_GPU_BATCH_TOKENS
                runner = self._on_gpu(model, manifest, choice, choice.gpu, max_tokens)
        return Model(manifest, tokenizer, runner, counters, max_tokens)

    def _on_cpu(self, model: str | bytes, bundle: Bundle, choice: Choice) -> Runner:
        threads = self.threads or available_cpus()
        workers = threads if choice.engine is Engine.ONNXRUNTIME else 1

        def load(model: str | bytes, count: int) -> Runs:
            return load_graph(choice.engine, model, choice.variant, threads=count, bf16=choice.precision == BF16)

        def load_wide() -> Runs:
            with bundle.open(choice.variant.file) as file:
                return load(file.checked(by_name=choice.engine.takes_names), threads)

        usual = load(model, 1 if workers > 1 else threads)
        return Graph(usual, load_wide, self._name, workers=workers)

    def _on_gpu(self, model: str | bytes, manifest: Manifest, choice: Choice, gpu: "Gpu", max_tokens: int) -> Runner:
        from ._cuda import CudaGraph  # not needed on the CPU
        from ._cuda_options import CudaOptions
        from ._provider import Provider

        options = self.cuda or CudaOptions()

        variant, longest = choice.variant, manifest.max_length
        if choice.engine is Engine.TENSORRT:
            from ._tensorrt import tensorrt

            precision = Precision(choice.precision)
            provider = tensorrt(variant, gpu, options, precision, longest=longest, max_tokens=max_tokens)
        else:
            provider = Provider.cuda(gpu, options)
        return CudaGraph(
            model,
            variant,
            provider,
            gpu=gpu,
            options=options,
            longest=longest,
            max_tokens=max_tokens,
            captured_output=manifest.scores,
            name=self._name,
        )

    @property
    def _name(self) -> str:
        return f"the classifier of {self.bundle}"


def _find_gpu(index: int, engine: Engine) -> "Gpu":
    """Give a GPU, if an engine can use it.

    Raises:
        DeviceUnavailable: It cannot; the message says what is missing.
        MissingExtra: onnxruntime is not installed.
    """
    from ._gpu import check_tensorrt, find_gpu  # not needed on the CPU
    from ._session import import_onnxruntime

    onnxruntime = import_onnxruntime()
    gpu = find_gpu(index, onnxruntime)
    if engine is Engine.TENSORRT:
        check_tensorrt(onnxruntime)
    return gpu


def choose_here(manifest: Manifest, device: str, precision: str | None, engine: str | None) -> Choice:
    """Choose what this machine runs of a bundle.

    Args:
        manifest: The bundle's.
        device: As of `Source`.
        precision: As of `Source`.
        engine: As of `Source`.

    Raises:
        UsageError: One of them is out of its range, or the engine is not for the precision on this device.
        DeviceUnavailable: A GPU was asked for and cannot be used.
        VariantNotFound: The bundle has no such graph.
    """
    where = Device.parse(device)
    by_name = None if engine is None else _member(Engine, "engine", engine)
    if precision not in (None, BF16):  # no set: it may be unhashable
        _member(Precision, "precision", precision, BF16)
    return choose(
        manifest,
        device=where,
        precision=precision,
        engine=by_name,
        flags=processor_flags(),
        is_installed=is_installed,
        find_gpu=_find_gpu,
    )


_Member = TypeVar("_Member", bound=StrEnum)


def _member(kind: type[_Member], name: str, value: object, *others: str) -> _Member:
    found = next((each for each in kind if isinstance(value, str) and each == value), None)
    if found is None:
        raise UsageError(f"{name}: expected one of {', '.join([*others, *kind])}, got {value!r}")
    return found
