import os
import signal

import pytest

from depth_pose_ros.demo.interrupts import SIGNALS, held_back


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_until_it_is_asked_for(number):
    before = signal.signal(number, signal.default_int_handler)
    try:
        reached = False
        with pytest.raises(KeyboardInterrupt), held_back() as check:
            check()
            os.kill(os.getpid(), number)
            reached = True
            check()
        assert reached
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_a_late_signal_is_not_lost():
    with pytest.raises(KeyboardInterrupt), held_back():
        os.kill(os.getpid(), signal.SIGINT)


def test_an_error_comes_through():
    with pytest.raises(ValueError, match="mine"), held_back():
        raise ValueError("mine")
