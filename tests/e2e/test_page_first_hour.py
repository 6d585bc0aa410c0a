"""A newcomer's first hour in a browser without a wallet, word for word as docs/quick-start.md has it.

From `merit up` to an audited job with three trainers, without waiting for any deadline but the last.
"""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.page_kit import JOB_MS, MARKS, ROOT, SLOW_MS, Visit, button, check_axe, created, settled, state, up

pytest_plugins = ["tests.e2e.page_kit"]
pytestmark = MARKS

GUIDE = " ".join((ROOT / "docs" / "quick-start.md").read_text().split())


def press(page: Page, name: str) -> None:
    """What the guide tells to press, by its words."""
    assert f"*{name}*" in GUIDE, f"the quick start does not say: {name}"
    page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("link", name=name, exact=True)).first.click()


def test_a_newcomer_comes_from_merit_up_to_an_audited_job_with_three_trainers(visit: Visit, tmp_path: Path) -> None:
    with up(tmp_path / "home") as node:
        page = visit(node)
        press(page, "Create")
        expect(page.get_by_label("Seats", exact=True)).to_have_value("3")
        expect(page.get_by_label("Trainers to start", exact=True)).to_have_value("3")
        expect(page.get_by_label("Aggregator", exact=True)).not_to_have_value("")
        expect(page.get_by_text("This node's key holds")).to_be_visible()
        page.get_by_text("For experts: deadlines").click()
        assert (
            "Under *For experts: deadlines, faulty trainers* set *Start delay* to `0` and *Confirm window* to `10 s`"
            in GUIDE
        )
        expect(page.get_by_label("Faulty trainers", exact=True)).to_have_value("0")
        page.get_by_label("Start delay", exact=True).fill("0")
        page.get_by_label("Confirm window", exact=True).fill("10 s")
        press(page, "Create with this node's key")
        job = created(page)
        expect(page.get_by_role("heading", name="Handwritten digits", exact=True)).to_be_visible()
        expect(page.get_by_text("starts when 3 are")).to_be_visible()
        expect(button(page, "Cancel the job with this node's key")).to_be_visible()
        check_axe(page)
        press(page, "Join as a trainer")
        page.get_by_label("The node's own key").check()
        page.get_by_label("Data source").fill("digits")
        press(page, "Check the data")
        expect(page.get_by_text("The data fit: ")).to_be_visible(timeout=SLOW_MS)
        assert "*Deposit … and train*" in GUIDE
        page.get_by_role("button", name="and train").click()
        expect(page.get_by_role("heading", name="Your trainer", exact=True)).to_be_visible()
        page.get_by_role("link", name=f"Job {job}", exact=True).click()
        press(page, "Add 2 sample trainers")
        expect(page.get_by_role("list", name="Sample trainers").get_by_role("listitem")).to_have_count(2)
        expect(state(page)).to_have_text("running", timeout=SLOW_MS)
        expect(page.get_by_text("starts when")).to_have_count(0)
        expect(settled(page).first).to_be_visible(timeout=JOB_MS)
        expect(state(page)).to_have_text("completed", timeout=JOB_MS)
        expect(settled(page)).to_have_count(5)
        expect(page.get_by_text(re.compile("starts when|it can start"))).to_have_count(0)
        press(page, "Audit this job")
        press(page, "Start the audit")
        expect(page.get_by_text("Everything that could be checked is right")).to_be_visible(timeout=JOB_MS)
        expect(page.locator(".mark.bad")).to_have_count(0)
        detail = node.ask(f"/api/jobs/{job}")
        assert detail["now"] < detail["terms"]["enrol_by"], "no deadline was waited for"
