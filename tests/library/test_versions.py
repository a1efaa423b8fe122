"""What is too old is said in one line."""

import pytest

import recsys_book


@pytest.mark.parametrize(
    ("python", "torch_version", "says"),
    [
        ((3, 10), "2.13.0", "needs Python 3.11 or newer; this is 3.10"),
        ((3, 11), "2.3.1+cpu", "needs PyTorch 2.4 or newer; this is 2.3.1"),
        ((3, 12), "1.13.1", "needs PyTorch 2.4 or newer; this is 1.13.1"),
        ((3, 12), None, "needs PyTorch 2.4 or newer; none here"),
    ],
)
def test_what_is_too_old_is_said_in_one_line(python, torch_version, says):
    with pytest.raises(ImportError, match=says) as told:
        recsys_book._check_versions(python, torch_version)
    assert "\n" not in str(told.value)
