/** The token between tabs of one origin: a new one acts too, and nothing lies in what outlives the browser. */
import { beforeEach, describe, expect, test } from "vitest";
import { shareToken, takeToken, token } from "../src/live/token";

const TOKEN = "a".repeat(43);
const OTHER = "b".repeat(43);

/** A tab is the module, so that tabs here are the other end of the channel. */
function tab(kept: Record<string, string> = {}) {
  const said: unknown[] = [];
  let listener: ((event: unknown) => void) | null = null;
  const channel = {
    postMessage: (message: unknown) => said.push(message),
    addEventListener: (_: string, hear: (event: unknown) => void) => {
      listener = hear;
    },
  } as unknown as BroadcastChannel;
  const storage = {
    getItem: (key: string) => kept[key] ?? null,
    setItem: (key: string, value: string) => {
      kept[key] = value;
    },
  } as unknown as Storage;
  return { said, channel, storage, kept, hear: (data: unknown) => listener?.({ data }) };
}

beforeEach(() => {
  token.set(null);
  localStorage.clear();
});

describe("a tab without the token", () => {
  test("asks the others, and acts once one has told", () => {
    const { said, channel, storage, hear, kept } = tab();
    shareToken(channel, storage, false, document);
    expect(said).toEqual([{ ask: true }]);
    hear({ token: TOKEN });
    expect(token.get()).toBe(TOKEN);
    expect(kept).toEqual({ "merit.token": TOKEN });
    expect(localStorage.length).toBe(0);
  });

  test("asks again when it is looked at", () => {
    const { said, channel, storage } = tab();
    shareToken(channel, storage, false, document);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(said).toEqual([{ ask: true }, { ask: true }]);
  });

  test.each([
    null,
    7,
    "x",
    {},
    { token: 7 },
    { token: "short" },
    { token: "<script>".repeat(9) },
    { token: "c".repeat(300) },
  ])("takes %o for none", (said) => {
    const { channel, storage, hear } = tab();
    shareToken(channel, storage, false, document);
    hear(said);
    expect(token.get()).toBeNull();
  });

  test("tells nothing to who asks", () => {
    const { said, channel, storage, hear } = tab();
    shareToken(channel, storage, false, document);
    hear({ ask: true });
    expect(said).toEqual([{ ask: true }]);
  });
});

describe("a tab with the token", () => {
  test("tells it to who asks, and keeps its own where another says an older one", () => {
    const { said, channel, storage, hear } = tab({ "merit.token": TOKEN });
    takeToken({ hash: "", pathname: "/", search: "" } as Location, {} as History, storage);
    shareToken(channel, storage, false, document);
    hear({ ask: true });
    expect(said).toEqual([{ token: TOKEN, fresh: false }, { token: TOKEN }]);
    hear({ token: OTHER });
    expect(token.get()).toBe(TOKEN);
  });

  test("takes the one that came with an address just now", () => {
    const { channel, storage, hear } = tab({ "merit.token": TOKEN });
    token.set(TOKEN);
    shareToken(channel, storage, false, document);
    hear({ token: OTHER, fresh: true });
    expect(token.get()).toBe(OTHER);
  });
});
