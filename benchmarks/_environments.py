"""The Python environments that contenders run in: each as small as its own users would have it, built once and kept."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._errors import BenchmarkError
from ._files import ROOT

FOLDER = Path(os.environ.get("SETFUSE_BENCHMARK_ENVIRONMENTS", ROOT / "build" / "environments"))
"""One folder an environment, and beside it NAME.log, what pip said, and NAME.failed, why a build failed."""

_READY = ".ready"
"""Written last, with what was installed: without it an environment is a build that was broken off."""
_NO_REASON = re.compile(r"\s*(\[notice\]|WARNING|note:|hint:|\[end of output\]|$)", re.IGNORECASE)
"""Lines of pip that do not say why it failed."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed together.

    Attributes:
        name: Its folder.
        requirements: What pip installs, pinned, so that two runs measure the same; `-e FOLDER` for sources.
        probe: Modules that tell, in the interpreter that runs the suite, whether it will do as well: the environment
            need not be built then, but its size cannot be told.
        sources: A folder of modules that an editable install leaves outside; counted with its size.
        cuda: Of use with an NVIDIA GPU only; built where there is one, or when it is asked for by name.
    """

    name: str
    requirements: tuple[str, ...]
    probe: tuple[str, ...] = ()
    sources: Path | None = None
    cuda: bool = False

    @property
    def folder(self) -> Path:
        """Where it is."""
        return FOLDER / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def log(self) -> Path:
        """What pip said."""
        return FOLDER / f"{self.name}.log"

    @property
    def is_built(self) -> bool:
        """Whether it holds today's requirements, all of them."""
        return _read(self.folder / _READY) == self._fingerprint and self.python.exists()

    @property
    def reason(self) -> str:
        """Why it is not built; empty where it is."""
        if self.is_built:
            return ""
        how = f"python -m benchmarks.setup --only {self.name}"
        failure = _read(FOLDER / f"{self.name}.failed")
        if failure.startswith(self._fingerprint):
            return f"environment {self.name} could not be built: {failure.removeprefix(self._fingerprint).strip()}"
        if self.folder.exists():
            return f"environment {self.name} was broken off or holds other versions than are pinned now; run {how}"
        return f"environment {self.name} is not built; run {how}"

    def build(self) -> None:
        """Make it, from nothing.

        Raises:
            BenchmarkError: It cannot be made, in pip's words; the next `reason` says the same.
        """
        failed = FOLDER / f"{self.name}.failed"
        failed.unlink(missing_ok=True)
        (self.folder / _READY).unlink(missing_ok=True)  # first: what is removed halfway is no environment
        shutil.rmtree(self.folder, ignore_errors=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        arguments = [word for line in self.requirements for word in (line.split(" ", 1) if line[0] == "-" else [line])]
        commands = [[sys.executable, "-m", "venv", "--without-pip", str(self.folder)]]  # ours can install into it
        if arguments:
            pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check"]
            commands.append([*pip, "install", "--quiet", "--no-input", *arguments])
        with self.log.open("w", encoding="utf-8") as log:
            for command in commands:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
                )
                if done.returncode:
                    why = last_reason(self.log.read_text(encoding="utf-8", errors="replace"))
                    failed.write_text(f"{self._fingerprint}\n{why}\n", encoding="utf-8")
                    raise BenchmarkError(f"{why} (all of it: {self.log})")
        (self.folder / _READY).write_text(self._fingerprint, encoding="utf-8")

    def versions(self) -> dict[str, str]:
        """Give the versions of what it is made for: its own, or those of the suite's interpreter if that serves."""
        if not self.is_built and not self.probe:
            return {}
        path = [str(self._site_packages)] if self.is_built else sys.path
        names = {re.split(r"[\[=<> ]", line)[0] for line in self.requirements if not line.startswith("-e")}
        names |= {"setfuse"} if self.sources else set()
        found = {
            distribution.name.replace("_", "-").lower(): distribution.version
            for distribution in importlib.metadata.distributions(path=path)
            if distribution.name  # a leftover of a broken installation has none
        }
        return {name: found[name] for name in sorted(names & found.keys())}

    def size_bytes(self) -> int | None:
        """Give the size of all that is installed in it; None where it is not built."""
        if not self.is_built:
            return None
        tops = [self._site_packages, *([self.sources] if self.sources else [])]
        return sum(path.stat().st_size for top in tops for path in _files(top))

    @property
    def _site_packages(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    @property
    def _fingerprint(self) -> str:
        made_from = json.dumps([sys.version_info[:2], self.requirements])
        return hashlib.sha256(made_from.encode()).hexdigest()


def python_for(environment: Environment) -> Path:
    """Give the interpreter that a contender of this environment runs in.

    Raises:
        BenchmarkError: It is not built, and the suite's own interpreter lacks its packages.
    """
    if environment.is_built:
        return environment.python
    if environment.probe and all(importlib.util.find_spec(module) for module in environment.probe):
        return Path(sys.executable)
    raise BenchmarkError(environment.reason)


def last_reason(output: str) -> str:
    """Give the line of a program's output that says why it failed: pip's last ERROR, or else its last words."""
    lines = [line.strip() for line in output.splitlines() if not _NO_REASON.match(line)]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR:").strip()


def _files(top: Path) -> Iterator[Path]:
    return (path for path in top.rglob("*") if path.is_file() and not path.is_symlink())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


_TORCH = ("torch==2.13.0", "sentence-transformers==6.2.0", "transformers==5.24.0", "tokenizers==0.23.3", "numpy==2.4.6")
_ONNXRUNTIME = ("onnxruntime==1.32.0", "tokenizers==0.23.3", "numpy==2.4.6")
_OPENVINO = ("openvino==2026.4.1", "tokenizers==0.23.3", "numpy==2.4.6")
_SETFUSE = ROOT / "runtime" / "setfuse"

# Torch's first: whoever waits sees the long ones done.
_ALL = [
    Environment("sentence-transformers", _TORCH, probe=("sentence_transformers", "torch")),
    # SetFit's ONNX exporter is an extra; what it needs is in `workshop`.
    Environment("setfit", ("setfit==1.2.0", "scikit-learn==1.9.1", *_TORCH)),
    # The newest sentence-transformers whose ONNX backend installs: optimum-onnx 0.1.0 wants transformers < 4.58.
    Environment(
        "optimum",
        (
            "torch==2.13.0",
            "sentence-transformers[onnx]==5.7.0",
            "optimum-onnx[onnxruntime]==0.1.0",
            "optimum==2.1.0",
            "transformers==4.57.6",
            "tokenizers==0.22.2",
            "onnxruntime==1.32.0",
            "onnx==1.23.2",
            "numpy==2.4.6",
        ),
    ),
    # Nothing is measured in it: it makes what others load, so that none of those needs more than it runs with.
    Environment(
        "workshop",
        (
            "torch==2.13.0",
            "sentence-transformers==6.2.0",
            "transformers==5.3.0",
            "setfit[onnx]==1.2.0",
            "onnx==1.23.2",
            "onnxruntime==1.32.0",
            "skl2onnx==1.20.0",
            "openvino==2026.4.1",
            "nncf==3.4.0",
            "ctranslate2==4.8.5",
            "model2vec[distill]==0.10.0",
            "scikit-learn==1.9.1",
            "numpy==2.4.6",
        ),
    ),
    Environment(
        "setfuse",
        (f"-e {ROOT}[cpu]", *_ONNXRUNTIME),
        probe=("setfuse.runtime", "onnxruntime", "tokenizers"),
        sources=_SETFUSE,
    ),
    # Apart from the one above: what an engine adds to the size and to the start is its own.
    Environment(
        "setfuse-openvino",
        (f"-e {ROOT}[openvino]", *_OPENVINO),
        probe=("setfuse.runtime", "openvino", "tokenizers"),
        sources=_SETFUSE,
    ),
    Environment("onnxruntime", _ONNXRUNTIME),
    Environment("transformers-onnxruntime", ("transformers==5.24.0", *_ONNXRUNTIME)),
    Environment("fastembed", ("fastembed==0.9.1", *_ONNXRUNTIME)),
    Environment("openvino", _OPENVINO),
    Environment("ctranslate2", ("ctranslate2==4.8.5", "tokenizers==0.23.3", "numpy==2.4.6")),
    Environment("model2vec", ("model2vec==0.10.0", "tokenizers==0.23.3", "numpy==2.4.6")),
    Environment(
        "setfuse-cuda",
        (f"-e {ROOT}[gpu]", "onnxruntime-gpu[cuda,cudnn]==1.31.1", "tokenizers==0.23.3", "numpy==2.4.6"),
        sources=_SETFUSE,
        cuda=True,
    ),
    Environment(
        "onnxruntime-cuda",
        ("onnxruntime-gpu[cuda,cudnn]==1.31.1", "tokenizers==0.23.3", "numpy==2.4.6"),
        cuda=True,
    ),
]
ENVIRONMENTS: dict[str, Environment] = {environment.name: environment for environment in _ALL}
