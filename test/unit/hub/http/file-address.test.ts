import { beforeEach, describe, expect, test } from "vitest";
import { FileAddress } from "../../../../src/hub/http/file-address.ts";
import type { HubFetch, HubResponse } from "../../../../src/hub/http/http-get.ts";

const published = "https://hub.example/m.gguf";
let asked: string[];
/** The status for each request, by address; 200 without one. */
let refused: Map<string, number>;
/** The signed address that the Hub redirects to now. */
let signed: string;
let address: FileAddress;

beforeEach(() => {
  asked = [];
  refused = new Map();
  signed = "https://cdn.example/m?signature=1";
  address = new FileAddress(published);
});

const answer: HubFetch = async (url) => {
  asked.push(url === published ? "hub" : (url.split("=")[1] ?? url));
  const end = url === published ? signed : url;
  const status = refused.get(url) ?? 200;
  const response: HubResponse = { url: end, status, ok: status === 200, headers: new Headers(), body: null };
  return response;
};

function get(fetch: HubFetch = answer, use?: () => Promise<string>): Promise<string> {
  const hub = { endpoint: "https://hub.example", signal: new AbortController().signal, stallTimeoutMs: 60_000, fetch };
  return address.get({}, hub, use ?? (async ({ response }) => response.url));
}

describe("the address of a file", () => {
  test("leads by way of the Hub once, and then to where that has led", async () => {
    expect(await get()).toBe("https://cdn.example/m?signature=1");
    expect(await get()).toBe("https://cdn.example/m?signature=1");
    expect(asked).toEqual(["hub", "1"]);
  });

  test("is asked for once by requests that come at the same time", async () => {
    await Promise.all([get(), get(), get()]);
    expect(asked).toEqual(["hub", "1", "1"]);
  });

  test("is known to others as soon as the Hub has answered, not when the content has come", async () => {
    let end: () => void = () => {};
    const slow = get(answer, () => new Promise((resolve) => (end = () => resolve("slow"))));
    expect(await get()).toBe("https://cdn.example/m?signature=1");
    end();
    expect(await slow).toBe("slow");
    expect(asked).toEqual(["hub", "1"]);
  });

  test.each([400, 401, 403, 404, 410])("is asked for anew after the answer %d, which nobody sees", async (status) => {
    await get();
    refused.set(signed, status);
    signed = "https://cdn.example/m?signature=2";
    expect(await get()).toBe("https://cdn.example/m?signature=2");
    expect(await get()).toBe("https://cdn.example/m?signature=2");
    expect(asked).toEqual(["hub", "1", "hub", "2"]);
  });

  test("is asked for anew by one of the requests that are refused at the same time", async () => {
    await get();
    refused.set(signed, 403);
    signed = "https://cdn.example/m?signature=2";
    await Promise.all([get(), get(), get()]);
    expect(asked.filter((who) => who === "hub")).toHaveLength(2);
    expect(asked.filter((who) => who === "2")).toHaveLength(2);
  });

  test("stays the same after a failure that may pass", async () => {
    await get();
    refused.set(signed, 503);
    await expect(get()).rejects.toMatchObject({ name: "TransientError" });
    refused.clear();
    await get();
    expect(asked).toEqual(["hub", "1", "1"]);
  });

  test("that the Hub refuses is asked for again by the next request", async () => {
    refused.set(published, 404);
    const both = await Promise.allSettled([get(), get()]);
    expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    refused.clear();
    expect(await get()).toBe(signed);
  });

  test("is the Hub's after a request to it that got no answer", async () => {
    const broken: HubFetch = () => Promise.reject(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    const [first, second] = await Promise.allSettled([get(broken), get()]);
    expect(first).toMatchObject({ status: "rejected", reason: { name: "TransientError" } });
    expect(second).toEqual({ status: "fulfilled", value: signed });
    expect(asked).toEqual(["hub"]);
  });
});
