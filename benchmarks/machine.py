"""Description of a benchmark's machine, and the folder of its images."""

import os
import platform
from importlib import metadata
from pathlib import Path

from vae_search.core.machine import usable_cores


def describe_machine() -> dict[str, object]:
    """Processor, cores, memory and versions; no names of hosts or users."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "unknown")
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return {
        "processor": model,
        "vector": next((name for name in ("avx512f", "avx2", "avx") if name in flags), "unknown"),
        "cores": usable_cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("ray", "tensorflow", "keras", "optuna")},
    }


def fashion_mnist_folder() -> Path:
    """The four files of Fashion-MNIST, where the tests look for them as well."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "fashion-mnist"
    folder = Path(os.environ.get("VAE_SEARCH_FASHION_MNIST") or default)
    if not folder.is_dir():
        raise SystemExit(f"needs Fashion-MNIST in {folder}; set VAE_SEARCH_FASHION_MNIST to the folder that has it")
    return folder
