"""Whatever a submission answers, its judge comes to an end, and what it had earned counts."""

import multiprocessing

import pytest

from tests.grading.toy import CHECK_ANSWER, CHECK_DOUBLE, GOOD, assigned, needs_sandbox, notebook
from vae_course.grading import grade, judge
from vae_course.grading.judge import Judge, JudgeError
from vae_course.grading.sandbox import Limits

# Arithmetic of one step of Python's: no alarm rings in it.
HANGS = {
    **CHECK_ANSWER,
    "source": "def check_answer(answer):\n    len(str(10 ** (answer * 10**8)))",
}


class Line:
    """A judge's line, with what comes through it."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    def send(self, path):
        self.sent.append(path)

    def poll(self, seconds):
        self.seconds = seconds
        return bool(self.answers)

    def recv_bytes(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return judge.json.dumps(answer).encode()

    def close(self):
        pass


@pytest.fixture
def told(tmp_path):
    return assigned(tmp_path)


def judged(told, monkeypatch, *answers):
    made = Judge(told, Limits(test=7, start=3), grace=2)

    def start():
        made.line, made.process = Line(*answers), object()

    monkeypatch.setattr(made, "start", start)
    monkeypatch.setattr(made, "close", lambda: setattr(made, "process", None))
    return made


DOUBLE = [
    {"name": "check_double", "points": 1, "hidden": False, "passed": True, "said": ""},
    {"name": "test_double", "points": 3, "hidden": True, "passed": True, "said": ""},
]


@pytest.mark.parametrize(
    "end, reason",
    [
        ([], "stopped: its answers keep a test for over 7 s"),
        ([EOFError()], "stopped: its answers ended the process that compares them"),
        ([ConnectionResetError()], "stopped: its answers ended the process that compares them"),
    ],
)
def test_one_that_does_not_come_to_an_end_is_ended_and_what_was_earned_counts(
    told, monkeypatch, tmp_path, end, reason
):
    state = {"done": {"double": DOUBLE}, "notes": ["Code cell 1: x"]}
    made = judged(told, monkeypatch, {"state": state, "seconds": 40.0}, *end)
    result = made(tmp_path / "a.ipynb")
    assert (result["score"], result["reason"]) == (4, reason)
    assert result["notes"] == ["Code cell 1: x"]
    assert made.line.seconds == 42 and made.line.sent == [str(tmp_path / "a.ipynb")]
    assert made.process is None, "the next one gets a new process"


@pytest.mark.parametrize("answers", [[], [EOFError()], [{"error": "RuntimeError: no sandbox"}]])
def test_one_that_did_not_start_is_an_error_and_no_zero(told, monkeypatch, tmp_path, answers):
    made = judged(told, monkeypatch, *answers)
    with pytest.raises(JudgeError, match="did not start|no sandbox"):
        made(tmp_path / "a.ipynb")


def test_once_the_run_was_stopped_no_judge_starts(told, monkeypatch, tmp_path):
    made = judged(told, monkeypatch)
    made.end()
    with pytest.raises(JudgeError, match="stopped"):
        made(tmp_path / "a.ipynb")


def test_before_each_step_it_says_what_is_known(opened, tmp_path):
    heard = []

    def tell(state, seconds):
        heard.append((sorted(state["done"]), seconds))

    check = "import otter\ngrader = otter.Notebook()\ngrader.check('double')"
    (tmp_path / "one.ipynb").write_text(notebook(GOOD, check, "1 / 0"))
    limits = Limits(cell=3, test=5, start=7)
    result = grade.submission(tmp_path / "one.ipynb", assigned(tmp_path), limits, tell=tell)
    assert result["score"] == 5
    assert heard == [([], 7), ([], 6), ([], 6), ([], 10), (["double"], 6), (["double"], 10)]


@needs_sandbox
@pytest.mark.slow(reason="an answer that hangs, and two processes; by default the line is a fake")
@pytest.mark.timeout(1800)
def test_an_answer_that_hangs_where_no_alarm_rings_is_ended_and_the_next_is_graded(tmp_path):
    told = {"name": "00-toy", "questions": {"double": [CHECK_DOUBLE], "answer": [HANGS]}}
    made = Judge(assigned(tmp_path, told), Limits(test=5), grace=1)
    try:
        for name, number in [("slow", 42), ("quick", 0)]:
            (tmp_path / f"{name}.ipynb").write_text(
                notebook(f"def double(x): return 2 * x\nanswer = {number}")
            )
        result = made(tmp_path / "slow.ipynb")
        assert (result["score"], made.process) == (1, None)
        assert result["reason"] == "stopped: its answers keep a test for over 5 s"
        assert made(tmp_path / "quick.ipynb")["score"] == 2
    finally:
        made.end()


def test_a_judge_whose_asker_was_killed_ends_in_silence(told, monkeypatch):
    monkeypatch.setattr(judge.resource, "setrlimit", lambda *_: None)
    asking, line = multiprocessing.Pipe()
    asking.send("nowhere.ipynb")
    asking.close()
    judge.work(line, told, Limits(), safe=True)
