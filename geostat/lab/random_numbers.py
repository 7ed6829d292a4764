"""The global random numbers of torch, numpy and Python, as somebody's own training uses them."""

import random
from typing import Any

import numpy as np
import torch

__all__ = ["random_numbers", "restore_numbers", "seed_all"]

# numpy's global state is asked for on purpose: a training loop that is not ours may draw from it.


def seed_all(seed: int) -> None:
    """Seed them.

    Parameters
    ----------
    seed : int
        Not negative.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def random_numbers() -> Any:
    """Return the state of all of them, accelerators included.

    Returns
    -------
    object
        For `restore_numbers`.
    """
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return torch.get_rng_state(), on_devices, np.random.get_state(), random.getstate()


def restore_numbers(state: Any) -> None:
    """Go back to a state.

    Parameters
    ----------
    state : object
        Of `random_numbers`.
    """
    of_torch, on_devices, of_numpy, of_python = state
    torch.set_rng_state(of_torch)
    if on_devices:
        torch.cuda.set_rng_state_all(on_devices)
    np.random.set_state(of_numpy)
    random.setstate(of_python)
