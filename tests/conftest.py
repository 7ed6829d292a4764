import signal

import pytest

# Where the tests run in the background, a shell has told them to ignore Ctrl-C, and their children with them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)
