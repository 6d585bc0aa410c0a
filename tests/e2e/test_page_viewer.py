"""The viewer of the API in a real Chromium: it shows the node's own document, and asks nobody else for anything."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import sync_playwright

from tests.api_node import Api, api_of
from tests.e2e.page_kit import CHROMIUM, DIST, FLAGS, MARKS, STEP_MS
from tests.jobs import World

pytestmark = [
    *MARKS,
    pytest.mark.skipif(not (DIST.parent / "viewer").is_dir(), reason="the viewer is not built: make page"),
]

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    with api_of(world.watcher("node"), world.chain.first_block, dist=DIST.parent) as made:
        yield made


def test_the_viewer_shows_each_operation_under_the_nodes_policy_and_asks_nobody_else(api: Api) -> None:
    document = api.bare.get("/api/openapi.json").json()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        answer = page.goto(f"{api.url}/viewer/")
        assert answer is not None
        assert "script-src 'self'; style-src 'self'" in answer.headers["content-security-policy"]
        page.wait_for_selector(".opblock", timeout=STEP_MS)
        assert page.locator(".opblock").count() == len(operations)
        page.click("#operations-node-show_health button")
        page.wait_for_selector(".responses-inner .example", timeout=STEP_MS)
        assert "jobs_in_trouble" in page.inner_text(".responses-inner")
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith((api.url + "/", "data:"))] == []
