"""Whoever comes back finds everything again: in another tab, after a reload, on the way back, from a node that lags."""

import json
from pathlib import Path

import yaml
from playwright.sync_api import Page, Request, Route, expect
from sqlalchemy import select

from marketplace.services.index import Index
from marketplace.services.index_tables import JobRow
from tests.e2e.page_kit import (
    MARKS,
    ROOT,
    SLOW_MS,
    Up,
    Visit,
    button,
    check_axe,
    connect,
    create_job,
    created,
    fill_job,
    press_create,
    state,
    until,
    up,
)
from tests.e2e.page_wallet import Wallet

pytest_plugins = ["tests.e2e.page_kit"]
pytestmark = MARKS

MANY = 10_000
FROM = 1_000_000  # the first number of a made-up job


def acts(page: Page) -> None:
    expect(page.get_by_text("this tab may act through the node")).to_be_visible()


def test_a_new_tab_of_the_same_browser_acts_too_and_nothing_is_kept_for_the_next_browser(
    visit: Visit, market: Up
) -> None:
    first = visit(market)
    acts(first)
    second = first.context.new_page()
    second.goto(market.origin + "/trainers")
    acts(second)
    first.close()
    third = second.context.new_page()
    third.goto(market.origin + "/create")
    acts(third)
    assert "token" not in third.evaluate("JSON.stringify(localStorage)")
    stranger = visit(market, token=False)
    expect(stranger.get_by_text("this tab only looks on")).to_be_visible()


def test_a_reload_in_the_middle_of_a_creation_finds_it_again_and_does_not_escrow_twice(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    page = visit(market, wallet)
    wallet.before_send = lambda: wallet.ask("evm_setAutomine", False)
    fill_job(page, Name="Twice")
    connect(page)
    try:
        press_create(page)
        expect(page.get_by_text("Waits for a block")).to_be_visible(timeout=SLOW_MS)
        page.reload()
        expect(page.get_by_text("it was sent, and is not in a block yet")).to_be_visible()
        expect(button(page, "Disconnect")).to_be_visible()
        press_create(page)
        expect(page.get_by_text("Doing it again would escrow twice.")).to_be_visible()
        other = page.context.new_page()  # where the wallet is another page's
        other.goto(market.origin + "/")
        other.locator("details.sent summary").click()
        entry = other.get_by_role("list", name="What was sent").get_by_role("listitem")
        expect(entry).to_contain_text("not in a block yet")
        check_axe(other)
    finally:
        wallet.ask("evm_setAutomine", True)
        wallet.ask("evm_mine")
    expect(entry.get_by_role("link", name="job ")).to_be_visible()
    link = page.get_by_role("link", name="It is job")
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", name="Twice", exact=True)).to_be_visible()
    assert len(wallet.sent) == 1


def test_a_creation_by_the_node_goes_on_without_the_page_and_is_found_again(visit: Visit, market: Up) -> None:
    page = visit(market)
    fill_job(page, Name="Node's own")
    with page.expect_request("**/api/jobs"):
        button(page, "Create with this node's key").click()
    page.reload()
    page.locator("details.sent summary").click()
    entry = page.get_by_role("list", name="What was sent").get_by_role("listitem").filter(has_text="Node's own")
    expect(entry.get_by_role("link", name="job ")).to_be_visible(timeout=SLOW_MS)


def test_the_owner_s_node_cancels_its_own_job_and_what_is_over_does_not_say_that_it_starts(
    visit: Visit, market: Up
) -> None:
    page = visit(market)
    fill_job(page, Name="Not wanted")
    button(page, "Create with this node's key").click()
    job = created(page)
    expect(page.get_by_text("starts when 3 are")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel the job with a wallet")).to_have_count(0)
    button(page, "Cancel the job with this node's key").click()
    expect(state(page)).to_have_text("cancelled")
    expect(page.get_by_text("starts")).to_have_count(0)
    page.goto(f"{market.origin}/?state=cancelled&search={job}")
    row = page.locator(".job").filter(has_text="Not wanted")
    expect(row).to_be_visible()
    expect(row).not_to_contain_text("starts")


def test_a_job_whose_block_the_node_has_not_read_yet_is_waited_for_and_not_called_missing(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    page = visit(market, wallet)
    job = create_job(page, Name="Fresh")
    head = market.ask("/api/health")["block"]

    def behind(route: Route) -> None:
        route.fulfill(json={"status": "ok", "block": head, "indexed": head - 1, "problem": "", "jobs_in_trouble": 0})

    def missing(route: Route) -> None:
        problem = {"type": "urn:merit:not-found", "title": "Not found", "status": 404, "detail": "There is no job."}
        route.fulfill(status=404, content_type="application/problem+json", body=json.dumps(problem))

    page.route("**/api/health", behind)
    page.route(f"**/api/jobs/{job}", missing)
    page.reload()
    expect(page.get_by_text("Waiting for the node to read block")).to_be_visible()
    expect(page.get_by_text("There is no job.")).to_have_count(0)
    check_axe(page)
    page.unroute(f"**/api/jobs/{job}")
    page.unroute("**/api/health")
    expect(page.get_by_role("heading", name="Fresh", exact=True)).to_be_visible()
    page.goto(f"{market.origin}/job/{10**9}")
    expect(page.get_by_text(f"There is no job {10**9}")).to_be_visible()


# ---------------------------------------------------------------- wallets of other kinds


def test_a_wallet_on_a_phone_that_does_not_know_the_chain_is_given_it(visit: Visit, market: Up, wallet: Wallet) -> None:
    wallet.chain, wallet.mobile = 1, True
    page = visit(market, wallet)
    fill_job(page, Name="From a phone")
    connect(page)
    button(page, "Switch the wallet to chain 31337").click()
    expect(page.get_by_text("Your wallet is on Ethereum")).to_be_hidden()
    assert (wallet.chain, wallet.mobile) == (31337, False)
    press_create(page)
    created(page)


def test_a_contract_wallet_gives_no_hash_and_its_job_is_found_all_the_same(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    wallet.contract = True
    page = visit(market, wallet)
    fill_job(page, Name="By a contract")
    connect(page)
    press_create(page)
    created(page)
    expect(page.get_by_role("heading", name="By a contract", exact=True)).to_be_visible()
    page.locator("details.sent summary").click()
    expect(page.get_by_role("list", name="What was sent")).to_contain_text("done")


# ---------------------------------------------------------------- ten thousand jobs


def fill_index(home: Path) -> None:
    """Makes the one job that the node's index has into many more, which are on no chain."""
    (path,) = (home / "index").glob("*.sqlite")
    chain, address, first = path.stem.split("-")
    index = Index(f"sqlite:///{path}", chain_id=int(chain), market=address, first_block=int(first))
    with index.session() as db:
        one = db.scalars(select(JobRow)).one()
        columns = [column.name for column in JobRow.__table__.columns if column.name != "job_id"]
        values = {name: getattr(one, name) for name in columns}
        document = json.loads(one.created)
        for number in range(FROM, FROM + MANY):
            made = json.dumps(document | {"job_id": number})
            named = {"name": f"Job {number}", "search": f"job {number}", "created": made}
            db.add(JobRow(job_id=number, **values | named))
    index.close()


def test_ten_thousand_jobs_are_paged_without_reading_all_again_and_the_way_back_keeps_filter_and_place(
    visit: Visit, tmp_path: Path
) -> None:
    home = tmp_path / "node"
    with up(home) as node:
        node.ask("/api/jobs", {"document": job_document(node)})
        until(lambda: node.ask("/api/jobs")["items"] and node.ask("/api/jobs")["items"][0]["name"], "it is described")
    fill_index(node.home)
    with up(home) as node:
        page = visit(node)
        asked: list[str] = []

        def note(request: Request) -> None:
            if "/api/jobs?" in request.url:
                asked.append(request.url)

        page.on("request", note)
        page.get_by_label("State").select_option("open")
        expect(page.get_by_text("10,001 jobs match, 50 shown")).to_be_visible()
        assert page.url.endswith("/?state=open")
        for pages in range(2, 6):
            button(page, "Show more").click()
            expect(page.locator(".job")).to_have_count(50 * pages)
        assert sum("cursor=" in url for url in asked) == 4
        expect(page.locator(".job").nth(249)).to_contain_text(f"Job {FROM + MANY - 250}")

        asked.clear()
        node.ask("/api/jobs", {"document": job_document(node) | {"name": "One more"}})
        expect(page.get_by_text("10,002 jobs match, 250 shown")).to_be_visible()
        assert 1 <= len(asked) <= 4, asked
        assert not any("cursor=" in url for url in asked)
        assert all("ids=" in url or "limit=50" in url for url in asked)

        page.locator(".job").nth(180).scroll_into_view_if_needed()
        page.wait_for_function("history.state && history.state.scroll > 5000")
        place = page.evaluate("scrollY")
        asked.clear()
        page.locator(".job h2 a").nth(180).click()
        page.wait_for_url("**/job/*")
        assert page.evaluate("scrollY") == 0
        page.go_back()
        expect(page.locator(".job")).to_have_count(250)
        page.wait_for_function(f"Math.abs(scrollY - {place}) < 5")
        expect(page.get_by_label("State")).to_have_value("open")
        assert page.url.endswith("/?state=open")
        assert not any("cursor=" in url for url in asked)
        assert len(asked) <= 4, asked

        page.get_by_label("Search").fill(f"job {FROM + 77}")
        expect(page.get_by_text("1 job matches")).to_be_visible()
        page.reload()
        expect(page.get_by_label("Search")).to_have_value(f"job {FROM + 77}")
        expect(page.locator(".job")).to_have_count(1)
        check_axe(page)


def job_document(node: Up) -> dict[str, object]:
    """The example, with this node's aggregator."""
    document: dict[str, object] = yaml.safe_load((ROOT / "examples" / "digits" / "job.yaml").read_text())
    market = document["market"]
    assert isinstance(market, dict)
    market["aggregator"] = node.ask("/api/node")["aggregator"]
    return document
