"""`comod evaluate`, run as a person would."""
import json
import sys

import pytest
from small_evaluation import SIZE, pictures, save_folder

from comod_core.cli import main
from comod_core.evaluation import run

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture
def line(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMOD_DEVICE", "cpu")
    save_folder(tmp_path / "photos", pictures(7, size=24))
    return ["evaluate", str(files / "untrained.safetensors"), "--data", "photos", "--out", "out", "--features",
            str(files / "statistics.pt"), "--holes", "0,0.4,1"]


@pytest.fixture
def quick(monkeypatch):
    """Without the report's files, which take most of the time."""
    monkeypatch.setattr("comod_core.evaluation.report.write_report", lambda *_: None)


def test_a_folder_of_pictures(line, tmp_path, capsys):
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    assert main([*line, "--pairs", "4"]) == 0
    told, result = capsys.readouterr(), json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["protocol"]["data"]["name"] == "photos" and result["protocol"]["data"]["count"] == 7
    assert list(result["skipped"]) == ["broken"] and "broken: skipped" in told.err
    assert told.err.count("published protocol") == 1 and "FD-statistics" in told.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["features", "report.html", "report.png",
                                                                          "result.json"]
    assert str(tmp_path) not in (tmp_path / "out" / "report.html").read_text() + json.dumps(result)


def test_an_array_and_a_psi_sweep(quick, line, files, tmp_path, capsys):
    line[line.index("photos")] = str(files / "set" / "images.npy")
    assert main([*line, "--count", "6", "--psi", "1,0.5", "--raw"]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [row["psi"] for row in result["rows"]] == [1, 1, 0.5, 0.5, 1, 0.5]
    assert result["protocol"]["sampling"]["feather"] == 0 and result["protocol"]["data"]["of"] == 16
    assert "psi 0.5" in capsys.readouterr().out


def test_ctrl_c_keeps_what_was_measured(quick, line, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "rows", stop)
        assert main(line) == 130
    assert "goes on from here" in capsys.readouterr().out
    kept = [(path.name, path.stat().st_mtime_ns) for path in (tmp_path / "out" / "features").iterdir()]
    assert main(line) == 0
    assert [(path.name, path.stat().st_mtime_ns) for path in (tmp_path / "out" / "features").iterdir()] == kept


def test_a_filler_needs_a_size(quick, line, capsys):
    line[1] = "telea"
    assert main(line) == 1 and "--size" in capsys.readouterr().err
    assert main([*line, "--size", str(SIZE)]) == 0
    assert "telea, psi 1" in capsys.readouterr().out


@pytest.mark.parametrize("change, words", [
    ({"--data": "absent"}, "no such file"), ({"--features": "absent.pt"}, "lite0, inception"),
    ({"--holes": "0,x"}, "commas"), ({"--holes": "0.5,0.1"}, "rising"), ({"--psi": "1,1"}, "different"),
    ({"--size": "32"}, "16x16"), ({"--out": "photos/000000.png"}, "is a file"), ({"--psi": "1000"}, "psi is 1000")])
def test_errors_are_one_line_that_says_what_to_do(line, capsys, change, words):
    for option, value in change.items():
        line += [option, value]
    assert main(line) == 1
    told = capsys.readouterr().err
    assert told.startswith("comod: error: ") and words in told and "Traceback" not in told


def test_a_missing_package_is_told_before_the_work(line, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(line) == 1
    assert "pip install matplotlib" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_folder_without_a_readable_picture(line, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([*line, "--data", "empty"]) == 1 and "no pictures" in capsys.readouterr().err
    (tmp_path / "empty" / "a.png").write_bytes(b"?")
    assert main([*line, "--data", "empty"]) == 1 and "at least 2" in capsys.readouterr().err
