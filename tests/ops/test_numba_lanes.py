"""What the compiled CPU kernels are made of."""

import hashlib
from pathlib import Path

import pytest

from mambaad_demo.ops import numba_lanes, selective_scan_numba, ssd_numba


@pytest.mark.parametrize("kernel", [selective_scan_numba, ssd_numba])
def test_every_kernel_file_names_the_lanes_it_was_compiled_with_so_that_no_cache_outlives_them(kernel):
    wanted = hashlib.sha256(Path(numba_lanes.__file__).read_bytes()).hexdigest()[:12]

    assert wanted == kernel.LANES, "renew LANES in each kernel's file"
