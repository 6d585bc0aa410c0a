"""Two of the examples as whole jobs: every party a process of its own. `make examples` plays all of them."""

import pytest
from rich.console import Console

from examples import run
from examples.run import Measured

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["table", "segmentation"])
def row(request: pytest.FixtureRequest) -> Measured:
    return run.play(request.param, 1, Console(quiet=True))


def test_a_job_is_audited_near_the_training_on_all_data_and_better_than_one_trainer_s(row: Measured) -> None:
    assert row.audit_ok
    assert row.good, row.document()
    assert sum(row.pay) > 0


def test_an_update_is_two_bytes_a_number_and_what_seals_it(row: Measured) -> None:
    assert row.bytes_up == pytest.approx(2 * row.parameters, abs=2_000)


def test_files_that_are_wrong_are_refused_by_name_row_and_column(row: Measured) -> None:
    if row.name == "table":
        assert [text.split(": ")[1].split(",")[0] for text in row.refused] == [
            "row 4",
            "columns of different names are expected",
            "row 6",
            "row 5",
            "row 5",
        ]
    assert all(row.refused)


def test_every_example_has_a_job_data_and_a_readme() -> None:
    for name in run.names():
        folder = run.HERE / name
        assert (folder / "job.yaml").is_file()
        assert f"--only {name}" in (folder / "README.md").read_text("utf-8")
