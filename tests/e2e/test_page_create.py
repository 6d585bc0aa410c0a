"""From nothing to a model in the page: an own table by a template, a job file, and the guided first run."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import yaml
from playwright.sync_api import Page, expect

from tests.e2e.page_kit import (
    DESKTOP,
    JOB_MS,
    MARKS,
    PHONE,
    ROOT,
    SCHEMES,
    SLOW_MS,
    Up,
    Visit,
    button,
    check_axe,
    created,
    deposit,
    state,
    unfold,
    up,
)

pytest_plugins = ["tests.e2e.page_kit"]
pytestmark = MARKS

PATIENTS = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with notes that are no feature, the same with a broken cell, and with another name for a column."""
    place, random = tmp_path_factory.mktemp("data"), Random(7)
    rows = [["age", "city", "income", "note", "ill"]]
    for number in range(PATIENTS):
        age = random.randint(20, 80)
        ill = "yes" if age + random.randint(-8, 8) > 50 else "no"
        rows.append([str(age), random.choice(["Bern", "Oslo"]), f"{random.randint(2, 9)}0000", f"note {number}", ill])
    broken = [*rows[:6], ["old", *rows[6][1:]], *rows[7:]]
    german = [["Alter", *rows[0][1:]], *rows[1:]]
    for name, table in (("patients", rows), ("broken", broken), ("german", german)):
        with (place / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table)
    return place


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("home"), data=folder) as running:
        yield running


def look(page: Page) -> None:
    """axe has nothing to say, and a phone needs no sideways scrolling."""
    for width, height in (PHONE, DESKTOP):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            check_axe(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def choose(page: Page, template: str) -> None:
    page.get_by_role("group", name="Start from").get_by_role("radio", name=re.compile(f"^{template} ")).check()


def test_an_own_table_becomes_a_job_by_a_template_and_ends_as_a_model(visit: Visit, node: Up, folder: Path) -> None:
    page = visit(node, path="/create")
    choose(page, "A table")
    page.get_by_label("Name", exact=True).fill("Who falls ill")
    page.get_by_label("Your table").fill(str(folder / "patients.csv"))
    button(page, "Read its columns").click()
    expect(page.get_by_text("3 features of 5 columns")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("free text: note")).to_be_visible()
    expect(page.get_by_label("To be predicted", exact=True)).to_have_value("ill")
    expect(page.get_by_label("Names of the classes")).to_have_value("no\nyes")
    button(page, "Judge updates by this table too").click()
    for label, value in (("Rounds", "1"), ("Trainers to start", "1"), ("Seats", "1")):
        page.get_by_label(label, exact=True).fill(value)
    page.reload()  # loses nothing
    expect(page.get_by_label("Name", exact=True)).to_have_value("Who falls ill")
    expect(page.get_by_label("To be predicted", exact=True)).to_have_value("ill")
    expect(page.get_by_label("Seats", exact=True)).to_have_value("1")

    source = page.get_by_label("Validation data", exact=True)
    expect(source).to_have_value(str(folder / "patients.csv"))
    source.fill(str(folder / "broken.csv"))
    button(page, "Check the data").click()
    refused = page.get_by_role("alert")
    expect(refused).to_contain_text(f"{folder / 'broken.csv'}: row 7, column 'age': a number is expected, 'old' was")
    source.fill(str(folder / "patients.csv"))
    button(page, "Check the data").click()
    expect(page.get_by_text(f"The data fit: {PATIENTS} samples in 2 classes")).to_be_visible(timeout=SLOW_MS)
    samples = page.get_by_role("region", name="Some of your samples")
    expect(samples.get_by_role("columnheader")).to_have_text(["age", "city", "income", "ill"])
    expect(samples.get_by_role("row")).to_have_count(9)
    expect(page.get_by_text("Columns that the job does not ask for: note.")).to_be_visible()
    look(page)
    unfold(page)
    page.get_by_label("Start delay", exact=True).fill("0")
    page.get_by_label("Confirm window", exact=True).fill("10 s")
    expect(page.get_by_text("trained parameters")).to_be_visible(timeout=SLOW_MS)
    look(page)
    button(page, "Create with this node's key").click()
    job = created(page)

    page.get_by_role("link", name="Join as a trainer", exact=True).first.click()
    page.get_by_label("The node's own key").check()
    page.get_by_label("Data source").fill(str(folder / "german.csv"))
    button(page, "Check the data").click()
    expect(page.get_by_role("alert")).to_contain_text("a column 'age' is expected")
    page.get_by_text("How these files are read").click()
    page.get_by_label("Columns of other names").fill("age = Alter")
    button(page, "Check the data").click()
    expect(page.get_by_text("The data fit: ")).to_be_visible(timeout=SLOW_MS)
    look(page)
    page.reload()  # loses nothing: the data are looked at again
    expect(page.get_by_label("The node's own key")).to_be_checked()
    expect(page.get_by_text("The data fit: ")).to_be_visible(timeout=SLOW_MS)
    deposit(page)
    page.goto(f"{node.origin}/job/{job}")
    expect(state(page)).to_have_text("completed", timeout=JOB_MS)
    card = page.get_by_role("region", name="Model", exact=True)
    expect(card.get_by_text("mlp, 2,466 trained parameters")).to_be_visible()
    expect(card.get_by_text("classification", exact=True)).to_be_visible()
    expect(card.get_by_text("no, yes", exact=True)).to_be_visible()
    expect(card.get_by_text("after round 1")).to_be_visible(timeout=SLOW_MS)
    expect(card.get_by_text(f"merit job model {job} --output who-falls-ill.safetensors")).to_be_visible()
    button(page, "Python").click()
    expect(card.get_by_text("load_model(Path(")).to_be_visible()
    look(page)
    with page.expect_download(timeout=SLOW_MS) as download:
        button(page, "Download the final model").click()
    assert download.value.suggested_filename == f"job-{job}-round-1.safetensors"


@pytest.mark.parametrize("example", ["table", "text", "adapters"])
def test_a_job_file_comes_back_from_the_form_as_it_was(visit: Visit, node: Up, tmp_path: Path, example: str) -> None:
    document = yaml.safe_load((ROOT / "examples" / example / "job.yaml").read_text())
    document["market"] |= {"aggregator": node.ask("/api/node")["aggregator"], "max_missed": 9}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    wanted = yaml.safe_load(node.ask("/api/jobs/preview", {"yaml": text})["yaml"])
    page = visit(node, path="/create")
    page.get_by_text("Or load a job file").click()
    (tmp_path / "job.yaml").write_text(text)
    page.get_by_label("A file of this computer").set_input_files(tmp_path / "job.yaml")
    expect(page.get_by_label("Its text")).not_to_have_value("")
    button(page, "Show it in the form").click()
    expect(page.get_by_text(f"“{document['name']}” is in the form")).to_be_visible(timeout=SLOW_MS)
    page.reload()
    expect(page.get_by_label("Name", exact=True)).to_have_value(document["name"])
    with page.expect_download(timeout=SLOW_MS) as download:
        button(page, "Download as YAML").click()
    back = yaml.safe_load(Path(download.value.path()).read_text())
    # The form says what the file leaves to its defaults.
    market = back.pop("market") | {}
    assert market.items() >= {name: market[name] for name in wanted["market"]}.items()
    for name, value in wanted.pop("market").items():
        assert market[name] == value, name
    assert back == wanted


def test_a_file_that_is_none_is_refused_by_field(visit: Visit, node: Up) -> None:
    page = visit(node, path="/create")
    page.get_by_text("Or load a job file").click()
    page.get_by_label("Its text").fill("name: Half\nmarket: {rounds: 0}\n")
    button(page, "Show it in the form").click()
    expect(page.get_by_role("alert")).to_contain_text("market.rounds")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Handwritten digits")


def test_what_is_wrong_stands_beside_the_form_and_leads_to_its_field(visit: Visit, node: Up) -> None:
    page = visit(node, path="/create")
    choose(page, "Own program")
    cost = page.get_by_role("region", name="Cost")
    cost.get_by_role("button", name="Give the program's file").click()
    expect(page.get_by_label("Program file")).to_be_focused()
    page.get_by_label("Program file").fill("nowhere.program")
    page.get_by_label("Name", exact=True).fill("Mine")
    expect(cost.get_by_role("alert")).to_contain_text("'nowhere.program' is in none of the folders", timeout=SLOW_MS)
    choose(page, "Images")
    page.get_by_label("Filters").fill("")
    cost.get_by_role("button", name="Give whole numbers: 16, 32.").click()
    expect(page.get_by_label("Filters")).to_be_focused()
    look(page)


def test_the_guided_first_run_leads_from_an_empty_node_to_a_model_card(visit: Visit, tmp_path: Path) -> None:
    with up(tmp_path / "home") as alone:
        page = visit(alone)
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        button(page, "Run a sample job").click()
        being_made = button(page, "Makes a sample job…")
        made = page.locator('main a[href="/job/1?guide=1"]')
        expect(being_made.or_(made)).to_be_visible()  # a quick node has made it before one looks
        page.reload()  # makes no second one
        made.click(timeout=SLOW_MS)
        guide = page.get_by_role("region", name="Guide")
        now = guide.locator('[aria-current="step"]')
        expect(now).to_contain_text("0 of 3 seats taken")
        look(page)
        button(page, "Let 3 trainers join").click()
        expect(now).to_contain_text("of 3 rounds settled", timeout=SLOW_MS)
        page.reload()
        expect(guide).to_be_visible()
        expect(page.locator(".readings").get_by_text("Accuracy")).to_be_visible(timeout=JOB_MS)
        expect(state(page)).to_have_text("completed", timeout=JOB_MS)
        expect(guide.get_by_role("listitem").filter(has_text="The model is yours")).to_have_class("done")
        expect(page.get_by_role("region", name="Model", exact=True).get_by_text("13,802 trained")).to_be_visible()
        assert [each["job_id"] for each in alone.ask("/api/jobs")["items"]] == [1]
        look(page)
        guide.get_by_role("link", name="Check everything", exact=True).click()
        button(page, "Start the audit").click()
        expect(page.get_by_text("Everything that could be checked is right")).to_be_visible(timeout=JOB_MS)


def test_the_header_shows_network_and_balance_and_gives_free_coin(visit: Visit, node: Up) -> None:
    page = visit(node)
    menu = page.locator("header .menu")
    expect(menu).to_contain_text("local chain")
    menu.locator("summary").click()
    amount = menu.locator(".menu-body .number").first
    before = amount.get_attribute("title")
    look(page)
    button(page, "Get 100 free ether").click()
    expect(amount).not_to_have_attribute("title", str(before))
