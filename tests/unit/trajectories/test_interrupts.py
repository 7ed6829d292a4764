"""Ctrl-C that a destructor swallows is raised at the next unit of work."""

import os
import signal
import threading

import pytest

from geostat.trajectories.engines.interrupts import heard


class Interrupted:
    """Is told of Ctrl-C while it is destroyed, where Python ignores what is raised."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # signals are handled between two instructions
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_destructor_swallowed_is_raised_afterwards():
    with heard() as check:
        check()
        Interrupted()
        with pytest.raises(KeyboardInterrupt):
            check()


def interrupted():
    with heard():
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)


def test_the_handler_of_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_signals_are_left_alone():
    found = []

    def work():
        with heard() as check:
            found.append(signal.getsignal(signal.SIGINT))
            check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
