"""Standard streams that the parent process has closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="closed with a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_trouble(tmp_path: Path, closed: str) -> None:
    (tmp_path / "n.csv").write_text("x_px,y_px,class\n10,10,tumor\n20,30,tumor\n")
    out = tmp_path / "n.geojson"
    muse = f"{sys.executable} -m muse_core.cli"
    command = f"{muse} convert n.csv n.geojson --mpp 0.5 {closed}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert out.read_text().startswith("{")


@pytest.mark.skipif(sys.platform == "win32", reason="closed with a POSIX shell")
@pytest.mark.parametrize("closed", ["<&-", "<&- 2>&-", "</dev/null"])
def test_a_job_process_without_input_says_so(closed: str) -> None:
    command = f"{sys.executable} -m muse_core.jobs {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 2
    assert json.loads(done.stdout)["message"] == "No job was given."
    assert not done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="closed with a POSIX shell")
def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    said = tmp_path / "said"
    code = (
        "import os; from muse_core.isolation.closed_streams import open_closed_streams as opened;"
        "opened();"
        f"number = os.open({str(said)!r}, os.O_WRONLY | os.O_CREAT); print('lost');"
        "os.write(number, str(number).encode())"
    )
    command = f'{sys.executable} -c "{code}" <&- >&- 2>&-'
    assert subprocess.run(command, shell=True).returncode == 0
    assert int(said.read_text()) > 2


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_refusal_that_nobody_reads_is_one_all_the_same(tmp_path: Path, unbuffered: str) -> None:
    """As after ``2>&1 | head``, whether the streams are buffered, as usual, or not."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "muse_core.cli", "info", str(tmp_path / "none.svs")]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, stdout=writing, stderr=writing, env=environment, check=False)
    os.close(writing)
    assert done.returncode == 2
