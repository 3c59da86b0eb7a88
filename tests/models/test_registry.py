"""What making an encoder does to the process it is made in."""

import numpy as np  # noqa: F401 - brings its pool of threads
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from models import EncoderOptions, create_encoder


@pytest.fixture(autouse=True)
def several_threads() -> None:
    threadpool_limits(limits=2, user_api="blas")


def numpy_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


async def test_no_thread_of_numpy_waits_beside_an_encoder_of_one_thread() -> None:
    assert numpy_threads() == [2]
    encoder = create_encoder("local", EncoderOptions(device="cpu", threads=1))
    await encoder.aclose()
    assert numpy_threads() == [1]
