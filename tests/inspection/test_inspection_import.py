import subprocess
import sys


def test_looking_at_a_trace_does_not_import_torch():
    code = "import sys, unspool.inspection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
