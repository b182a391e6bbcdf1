import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """For models this small a second thread only waits, and on a busy machine it waits long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
