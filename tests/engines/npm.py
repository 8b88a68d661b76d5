"""The JavaScript examples with their packages beside them, as after `npm install`."""

import hashlib
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OLDEST_NODE = 20


def examples_with_packages(name: str, folder: Path) -> Path:
    """Copy the examples and put one's packages beside it; skip where they cannot be had.

    The packages are installed once for each content of package.json, below build/, which `make clean` removes.

    Args:
        name: `node` or `web`.
        folder: Where to copy the examples to.

    Returns:
        The example's folder in the copy.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Node is not installed: the JavaScript examples need node and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"the JavaScript examples need Node {OLDEST_NODE} or later, found {version}")
    packages = installed(npm, EXAMPLES / name / "package.json")
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / name / "node_modules").symlink_to(packages)
    return folder / name


def installed(npm: str, package_json: Path) -> Path:
    """Install the packages of a package.json, unless they are there already, and give their node_modules."""
    key = hashlib.sha256(package_json.read_bytes()).hexdigest()[:16]
    final = ROOT / "build" / "npm" / key
    if not final.is_dir():
        staging = final.with_name(f"{key}.partial-{secrets.token_hex(4)}")
        staging.mkdir(parents=True)
        try:
            shutil.copy(package_json, staging)
            # Without scripts: onnxruntime-node's would fetch gigabytes of CUDA.
            options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--fetch-retries=0")
            command = [npm, "install", *options]
            done = subprocess.run(command, cwd=staging, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode:
                reason = next((line for line in done.stderr.splitlines() if "npm error" in line), "no reason given")
                pytest.skip(f"npm cannot install the example's packages: {reason}")
            if not final.is_dir():  # nobody else was faster
                staging.rename(final)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not install the example's packages within 300 seconds")
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return final / "node_modules"
