"""Evidence that cannot be read makes a run unknown, and the reason names the file."""

import gzip
import json
from pathlib import Path

import pytest

from checker import judge
from checker.evidence import EvidenceMissing, collect, read_ledger
from checker.verdict import Verdict


def test_an_empty_run_folder_is_unknown(tmp_path: Path) -> None:
    judgement = judge(tmp_path)
    assert judgement.verdict is Verdict.UNKNOWN
    assert "run.json" in judgement.checks[0].summary


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\x1f\x8b broken", gzip.compress(b"[1,", mtime=0)],
    ids=["empty", "cut off", "no gzip", "cut off inside gzip"],
)
def test_damaged_books_are_unknown(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "history.jsonl").write_text("")
    (tmp_path / "database.json.gz").write_bytes(damage)
    judgement = judge(tmp_path)
    assert judgement.verdict is Verdict.UNKNOWN
    assert "database.json.gz" in judgement.checks[0].summary


def test_a_torn_last_line_of_the_history_is_forgiven_a_torn_middle_is_not(tmp_path: Path) -> None:
    line = json.dumps({"op": "order", "type": "invoke", "index": 0, "customer_id": 1, "key": "k", "lines": []})
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "database.json.gz").write_bytes(gzip.compress(b"{}"))
    (tmp_path / "history.jsonl").write_text(line + "\n" + line[:20])
    assert "history" not in judge(tmp_path).checks[0].summary
    (tmp_path / "history.jsonl").write_text(line[:20] + "\n" + line)
    assert "history.jsonl, line 1" in judge(tmp_path).checks[0].summary


def test_a_database_that_does_not_answer_is_missing_evidence(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="database cannot be read"):
        collect("postgresql+psycopg://nobody@127.0.0.1:9/none", tmp_path, tmp_path / "run")


def test_a_ledger_that_is_no_database_is_missing_evidence(tmp_path: Path) -> None:
    path = tmp_path / "m1.sqlite"
    path.write_bytes(b"not a database, but long enough to be mistaken for one" * 100)
    with pytest.raises(EvidenceMissing, match=r"m1\.sqlite"):
        read_ledger(path)
