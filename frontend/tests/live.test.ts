import { afterEach, describe, expect, test, vi } from "vitest";
import { ApiError, address, get } from "../src/live/api";
import { pause } from "../src/live/events";
import { messages, Parser } from "../src/live/sse";
import { takeToken, token } from "../src/live/token";
import { routeOf } from "../src/router";
import { ticks } from "../src/ui/chart";

afterEach(() => vi.unstubAllGlobals());

describe("server-sent events", () => {
  const stream =
    ': ping\n\nevent: chain\ndata: {"a":\ndata: 1}\nid: g.1.2\n\r\nevent: x\r\ndata: é\r\n\r\ndata:no-event\n\n';
  const expected = [
    { event: "chain", data: '{"a":\n1}', id: "g.1.2" },
    { event: "x", data: "é", id: "g.1.2" },
    { event: "message", data: "no-event", id: "g.1.2" },
  ];

  test.each([1, 2, 3, 7, 1000])("are the same however they are cut: pieces of %i", (size) => {
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < stream.length; at += size) found.push(...parser.feed(stream.slice(at, at + size)));
    expect(found).toEqual(expected);
  });

  test("are read from a response, bytes cut within a character", async () => {
    const bytes = new TextEncoder().encode(stream);
    const body = new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    const found = [];
    for await (const message of messages(new Response(body))) found.push(message);
    expect(found).toEqual(expected);
  });

  test("the pause between tries grows, and stays below a quarter of a minute", () => {
    expect([1, 2, 3].map(pause)).toEqual([1000, 2000, 4000]);
    expect(pause(100)).toBe(15_000);
  });
});

describe("the token", () => {
  test("leaves the address bar and stays with the tab", () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => kept.set(key, value),
    };
    const replaced: string[] = [];
    const given = "a".repeat(43);
    takeToken(
      { hash: `#token=${given}`, pathname: "/job/1", search: "" } as Location,
      { replaceState: (_: unknown, __: string, url: string) => replaced.push(url) } as unknown as History,
      storage as unknown as Storage,
    );
    expect(token.get()).toBe(given);
    expect(replaced).toEqual(["/job/1"]);
    takeToken({ hash: "", pathname: "/", search: "" } as Location, {} as History, storage as unknown as Storage);
    expect(token.get()).toBe(given);
    token.set(null);
  });
});

describe("the API's client", () => {
  test("fills paths, encodes, and leaves empty values out of the query", () => {
    expect(address("/api/jobs/{job_id}/rounds/{n}", { job_id: 7, n: "1/../2" })).toBe("/api/jobs/7/rounds/1%2F..%2F2");
    expect(address("/api/jobs", { search: "a&b", state: "", cursor: null, limit: 5 })).toBe(
      "/api/jobs?search=a%26b&limit=5",
    );
  });

  test("tells the problem document's sentence", async () => {
    const body = JSON.stringify({
      type: "urn:merit:reverted",
      title: "t",
      status: 409,
      detail: "Job 7 is full.",
      name: "JobFull",
    });
    vi.stubGlobal("fetch", async () => new Response(body, { status: 409 }));
    await expect(get("/api/node")).rejects.toMatchObject({
      status: 409,
      detail: "Job 7 is full.",
      errorName: "JobFull",
    });
  });

  test("has a sentence for what is no problem document, and for no answer at all", async () => {
    vi.stubGlobal("fetch", async () => new Response("<html>", { status: 502, statusText: "Bad Gateway" }));
    await expect(get("/api/node")).rejects.toMatchObject({ status: 502, detail: "The node answered 502 Bad Gateway." });
    vi.stubGlobal("fetch", async () => {
      throw new TypeError("Failed to fetch");
    });
    const error = await get("/api/node").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).detail).toContain("cannot be reached");
  });

  test("sends the token, and none where there is none", async () => {
    const seen: (string | null)[] = [];
    vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
      seen.push(new Headers(init.headers).get("authorization"));
      return new Response("[]", { status: 200 });
    });
    await get("/api/node");
    token.set("secret");
    await get("/api/node");
    token.set(null);
    expect(seen).toEqual([null, "Bearer secret"]);
  });
});

describe("routes", () => {
  test.each([
    ["/", { page: "market" }],
    ["/job/7", { page: "job", jobId: 7 }],
    ["/job/7/join", { page: "join", jobId: 7 }],
    ["/audit", { page: "audit", jobId: null }],
    ["/audit/3", { page: "audit", jobId: 3 }],
    ["/job/0", { page: "missing" }],
    ["/job/7x", { page: "missing" }],
    ["/pay/0x12", { page: "missing" }],
  ])("%s", (path, route) => {
    expect(routeOf(path)).toEqual(route);
  });
});

describe("a chart's axis", () => {
  test("has round steps within the range", () => {
    expect(ticks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(0, 0.83)).toEqual([0, 0.2, 0.4, 0.6, 0.8]);
    expect(ticks(1, 5, 8, 1)).toEqual([1, 2, 3, 4, 5]);
  });

  test("of equal values, or none, ends", () => {
    expect(ticks(3, 3).length).toBeLessThan(21);
    expect(ticks(0, 0).length).toBeLessThan(21);
  });
});
