"""What the figures were measured on."""

import os
import platform

import numpy as np
import scipy
import torch

__all__ = ["machine"]


def machine() -> dict[str, str | int]:
    """Describe processor and libraries.

    Returns
    -------
    dict
        Names and versions.
    """
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "torch": str(torch.__version__),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
