"""`gate-agent bench` runs on a built pack; its figures are for people and never asserted, only that they are figures."""

import json

import pytest

from agent.cli import main
from agent.diagnostics.bench.figures import quantile, spread


def test_recognition_gives_its_ratios_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "recognition", "--blocks", "1", "--people", "200", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["recognition"]
    ratio = figures["whole_over_bare"]
    assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    assert figures["people"] == 200


def test_everybody_enrolled_who_walks_up_is_let_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "walk-ups", "--walk-ups", "2", "--people", "200", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["walk-ups"]
    assert figures["let_in"] == figures["walk_ups"] == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nonsense"], "bench has no part 'nonsense'; there are: recognition, walk-ups, start"),
        (["--people", "5"], "--people is 5; the least is 100"),
        (["--blocks", "0"], "--blocks is 0; the least is 1"),
    ],
)
def test_a_wrong_wish_is_refused_in_a_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_quantile_is_a_figure_that_was_measured() -> None:
    figures = [float(n) for n in range(1, 101)]
    assert [quantile(figures, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert quantile([7.0], 0.99) == 7.0


def test_a_spread_is_median_least_and_greatest() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
