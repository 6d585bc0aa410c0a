"""Makes docs/images from a market that really runs: `python -m scripts.screenshots` (Chromium, and the page built).

An owner creates a job in a browser wallet, three trainers join from nodes of their own, it runs to its end, and an
auditor looks at it. Takes some minutes. Pictures are few and small.
"""

import sys
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import yaml
from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright
from sklearn.datasets import load_digits

from tests.e2e.page_kit import (
    CHROMIUM,
    DESKTOP,
    FLAGS,
    JOB_MS,
    PHONE,
    ROOT,
    Up,
    button,
    check_data,
    connect,
    created,
    fill_job,
    join_by_wallet,
    press_create,
    settled,
    state,
    trainer_node,
    until,
    up,
    visits,
)
from tests.e2e.page_wallet import ETHER, Wallet, account

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 120_000
COLOURS = 256
TALLEST = 1900  # pixels of a picture
OTHERS = (
    ("Faults in solder joints", "Good or faulty, from 8 by 8 pixel images of joints.", 2),
    ("Kinds of clouds", "Twelve kinds, from 8 by 8 pixel images of the sky.", 12),
)


def picture(
    page: Page,
    name: str,
    size: tuple[int, int] = DESKTOP,
    scheme: Literal["light", "dark"] = "light",
    *,
    top: Locator | None = None,
    tallest: int = TALLEST,
) -> None:
    """Writes docs/images/NAME.png: the page, or what of it begins with `top`."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    expect(page.locator(".skeleton")).to_have_count(0)
    page.mouse.move(0, 0)
    first = 0
    if top is not None:
        first = int(top.evaluate("e => e.getBoundingClientRect().top + scrollY")) - 20
    image = Image.open(BytesIO(page.screenshot(full_page=True, animations="disabled"))).convert("RGB")
    image = image.crop((0, first, image.width, min(image.height, first + tallest)))
    path = IMAGES / f"{name}.png"
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes, more than {MOST_BYTES}.")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB\n")
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    page.emulate_media(color_scheme="light")


def shards(folder: Path) -> list[str]:
    """What three trainers have: all digits, few of them, and few with every fourth label wrong."""
    digits = load_digits()
    x, y = digits.images[:, None].astype(np.float32), digits.target.astype(np.int64)
    wrong = np.where(np.arange(len(y)) % 4 == 0, (y + 1) % 10, y)
    folder.mkdir(parents=True)
    np.savez(folder / "few.npz", x=x[:500], y=y[:500])
    np.savez(folder / "careless.npz", x=x[900:1400], y=wrong[900:1400])
    return ["digits", str(folder / "few.npz"), str(folder / "careless.npz")]


def other_jobs(market: Up) -> None:
    """Jobs that wait for trainers, so that the market is not empty."""
    facts = market.ask("/api/node")
    for name, description, classes in OTHERS:
        document = yaml.safe_load((ROOT / "examples" / "digits" / "job.yaml").read_text())
        document |= {"name": name, "description": description}
        document["model"]["parameters"]["classes"] = document["data"]["target"]["classes"] = classes
        document["market"]["aggregator"] = facts["aggregator"]
        market.ask("/api/jobs", {"document": document})
    until(lambda: len(market.ask("/api/jobs")["items"]) == len(OTHERS), "the index has the jobs")


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary, sync_playwright() as driver, ExitStack() as stack:
        folder = Path(temporary)
        sources = shards(folder / "data")
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        visit = stack.enter_context(visits(browser))
        market = stack.enter_context(up(folder / "market"))
        other_jobs(market)

        owner = visit(market, Wallet(market.rpc, account(1)).hold(100 * ETHER))
        seats = {"Trainers_to_start": "3", "Seats": "3", "Faulty_trainers": "0"}
        fill_job(owner, Rounds="8", Validation_data="digits", **seats)
        connect(owner)
        owner.reload()  # folds again what is for experts
        expect(owner.get_by_text("trained parameters")).to_be_visible()
        picture(owner, "create")
        press_create(owner)
        job = created(owner)

        nodes = [stack.enter_context(trainer_node(folder / f"trainer-{n}", market, folder / "data")) for n in range(3)]
        payees = [Wallet(market.rpc, account(900 + n)).hold(10 * ETHER) for n in range(3)]
        pages = [visit(node, payee) for node, payee in zip(nodes, payees, strict=True)]
        first = pages[0]
        first.goto(f"{nodes[0].origin}/job/{job}/join")
        first.get_by_label("My browser wallet").check()
        connect(first)
        check_data(first, sources[0])
        picture(first, "join")
        for page, node, source, connected in zip(pages, nodes, sources, (True, False, False), strict=True):
            join_by_wallet(page, node, job, source, connected=connected)

        expect(settled(owner).nth(3)).to_be_visible(timeout=JOB_MS)
        settled(owner).nth(1).click()
        table = owner.get_by_role("region", name="Judgement and gain").get_by_role("row")
        chart = owner.get_by_role("figure", name="Accuracy by round").get_by_role("row", name="accuracy")
        expect(table).to_have_count(4)
        expect(chart.get_by_role("cell").nth(4)).to_be_attached()
        picture(owner, "job", tallest=1750)
        picture(first, "trainer-phone", PHONE, "dark")
        owner.goto(f"{market.origin}/")
        expect(owner.locator(".job")).to_have_count(len(OTHERS) + 1)
        picture(owner, "market")
        owner.goto(f"{market.origin}/job/{job}")
        expect(state(owner)).to_have_text("completed", timeout=JOB_MS)

        careless = pages[2]
        careless.get_by_role("navigation").get_by_role("link", name="My pay", exact=True).click()
        careless.get_by_role("button", name="Why this pay?", exact=True).click()
        expect(careless.locator(".why")).to_be_visible()
        picture(careless, "pay-phone", PHONE, "light")

        auditor = visit(market, path=f"/audit/{job}", token=False)
        button(auditor, "Start the audit").click()
        expect(auditor.get_by_text("Everything that could be checked is right")).to_be_visible(timeout=JOB_MS)
        expect(auditor.get_by_label("RPC address", exact=True)).not_to_have_value("")
        button(auditor, "Read the chain").click()
        expect(auditor.locator(".check-name").filter(has_text="payouts are what was claimed")).to_be_visible()
        picture(auditor, "audit", DESKTOP, "dark")
        auditor.goto(f"{market.origin}/job/{job}")
        settled(auditor).first.click()
        auditor.get_by_role("button", name="Why did seat 2 gain this").click()
        expect(auditor.locator(".why")).to_be_visible()
        picture(auditor, "round", DESKTOP, "dark", top=auditor.locator(".timeline"), tallest=710)
        browser.close()


if __name__ == "__main__":
    main()
