"""What `podward up` refuses before it begins."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from podward.cli.up import command


@pytest.mark.parametrize("text", ["0", "-1", "abc", "", "100m"])
def test_a_log_has_some_size(text: str, tmp_path: Path) -> None:
    options = [f"--container-log-max-size={text}", "--data-dir", str(tmp_path / "data")]
    result = CliRunner().invoke(command, options)
    assert result.exit_code != 0
    assert f"--container-log-max-size: {text} is no size: write e.g. 10Mi" in (
        result.output + str(result.exception)
    )
    assert not (tmp_path / "data").exists()


def test_one_file_is_too_few(tmp_path: Path) -> None:
    """What was rotated away needs a place of its own."""
    options = ["--container-log-max-files=1", "--data-dir", str(tmp_path / "data")]
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 2
    assert "1 is not in the range x>=2" in result.output
