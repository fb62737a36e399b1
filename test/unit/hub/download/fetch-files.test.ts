import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { withBlobLock } from "../../../../src/hub/download/blob-lock.ts";
import {
  fetchFiles,
  fileSize,
  measureHave,
  measurePart,
  type FetchEvent,
  type FetchOptions,
  type FileTask,
} from "../../../../src/hub/download/fetch-files.ts";
import { standardLimits } from "../../../../src/hub/download/transfer.ts";
import { connectionReset, FakeOrigin } from "../../../support/fake-origin.ts";
import { sha256 } from "../../../support/hub-server.ts";

const names = ["a.gguf", "b.gguf", "c.gguf"];
const content = Buffer.from("GGUF, 32 bytes of a first model.");
const store = { name: "a store", setting: "STORE" };
const limits = { connections: 2, files: 2, rangeBytes: 16, stepBytes: 8 };

let folder: string;
let origin: FakeOrigin;
let events: FetchEvent[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-fetch-"));
  origin = new FakeOrigin(content);
  events = [];
});

afterEach(() => rm(folder, { recursive: true }));

function makeTask(name: string, changes: Partial<FileTask> & { sizeBytes?: number } = {}): FileTask {
  const { sizeBytes = content.length, ...more } = changes;
  return {
    file: { name, sizeBytes, digest: sha256(content) },
    url: `https://models.example/${name}`,
    path: join(folder, name),
    lock: join(folder, ".locks", name),
    expected: { code: "other-content", content: "what was promised", fix: "look elsewhere" },
    findDigest: async () => undefined,
    ...more,
  };
}

function fetchAll(tasks: readonly FileTask[], more: Partial<FetchOptions> = {}) {
  const options: FetchOptions = {
    hub: { endpoint: "https://hub.example", offline: false },
    signal: new AbortController().signal,
    onProgress: (event) => void events.push(event),
    wait: async () => {},
    limits,
    ...more,
  };
  const connect = ({ signal }: { signal: AbortSignal }) => ({ signal, stallTimeoutMs: 60_000, fetch: origin.fetch });
  return fetchFiles(tasks, { connect, store: { ...store, folder } }, options);
}

const kinds = (kind: FetchEvent["kind"]) => events.filter((event) => event.kind === kind);

describe("files", () => {
  test("are fetched under their names, and told in the order given, with their digests", async () => {
    const tasks = names.map((name) => makeTask(name));
    expect(await fetchAll(tasks)).toEqual(
      names.map((name) => ({ name, sizeBytes: content.length, digest: sha256(content) })),
    );
    for (const name of names) expect(await readFile(join(folder, name))).toEqual(content);
    expect(kinds("file-done")).toHaveLength(3);
    expect(kinds("file-done")).toContainEqual({ kind: "file-done", file: "b.gguf", sizeBytes: 32, verified: true });
    expect(events).toContainEqual({ kind: "bytes", file: "c.gguf", doneBytes: 0, sizeBytes: 32 });
    expect(events).toContainEqual({ kind: "bytes", file: "c.gguf", doneBytes: 32, sizeBytes: 32 });
    expect(kinds("waiting")).toEqual([]);
  });

  test("without a published digest get one, and count as unverified", async () => {
    const task = makeTask("a.gguf", { file: { name: "a.gguf", sizeBytes: 32, digest: undefined } });
    expect(await fetchAll([task])).toEqual([{ name: "a.gguf", sizeBytes: 32, digest: sha256(content) }]);
    expect(events.at(-1)).toEqual({ kind: "file-done", file: "a.gguf", sizeBytes: 32, verified: false });
  });

  test("that are there already are not fetched", async () => {
    const tasks = [makeTask("a.gguf", { findDigest: async () => "f00d" })];
    expect(await fetchAll(tasks)).toMatchObject([{ digest: "f00d" }]);
    expect(origin.requests).toEqual([]);
    expect(events).toEqual([{ kind: "file-done", file: "a.gguf", sizeBytes: 32, verified: true }]);
  });

  test("that another process fetches are looked at after it has finished", async () => {
    let isThere = false;
    const task = makeTask("a.gguf", { findDigest: async () => (isThere ? "f00d" : undefined) });
    let told: () => void = () => {};
    const waits = new Promise<void>((resolve) => (told = resolve));
    const onProgress = (event: FetchEvent) => {
      events.push(event);
      if (event.kind === "waiting") told();
    };
    let fetched: ReturnType<typeof fetchAll> | undefined;
    await withBlobLock(task.lock, { signal: new AbortController().signal, onWait: () => {} }, async () => {
      fetched = fetchAll([task], { onProgress });
      await waits;
      isThere = true;
    });
    expect(await fetched).toMatchObject([{ digest: "f00d" }]);
    expect(origin.requests).toEqual([]);
    expect(events[0]).toEqual({ kind: "waiting", file: "a.gguf" });
  });

  test("are fetched as many at once as the limit says", async () => {
    let now = 0;
    let most = 0;
    let begin: () => void = () => {};
    const twoHaveBegun = new Promise<void>((resolve) => (begin = resolve));
    const findDigest = async () => {
      most = Math.max(most, (now += 1));
      if (now === 2) begin();
      await twoHaveBegun;
      // A third one that had begun would get its lock meanwhile.
      const here = { signal: new AbortController().signal, onWait: () => {} };
      await withBlobLock(join(folder, ".locks", "another"), here, async () => {});
      now -= 1;
      return "f00d";
    };
    await fetchAll(names.map((name) => makeTask(name, { findDigest })));
    expect(most).toBe(2);
  });

  test("after one that fails are not begun, and its error is told", async () => {
    const failing = makeTask("a.gguf", { findDigest: () => Promise.reject(new Error("broken")) });
    await expect(fetchAll([failing, makeTask("b.gguf")], { limits: { ...limits, files: 1 } })).rejects.toThrow(
      "broken",
    );
    expect(origin.requests).toEqual([]);
  });

  test("that lose their connections at once are one message", async () => {
    origin.answers = Array.from({ length: 2 }, () => () => Promise.reject(connectionReset()));
    await fetchAll(names.map((name) => makeTask(name)));
    expect(kinds("retry")).toEqual([{ kind: "retry", reason: "read ECONNRESET", delayMs: 1000 }]);
  });

  test("keep together to the rate that was asked for", async () => {
    const waits: number[] = [];
    await fetchAll([makeTask("a.gguf"), makeTask("b.gguf")], {
      limitRate: 0.001,
      wait: async (ms) => void waits.push(ms),
    });
    // 64 bytes at a byte in 1000 s.
    expect(Math.round(Math.max(...waits) / 1_000_000)).toBe(64);
  });
});

describe("free space", () => {
  const huge = 2 ** 42;

  test("that is too little for all files is told before the first byte, and nothing is made", async () => {
    const tasks = [makeTask("a.gguf"), makeTask("b.gguf", { sizeBytes: huge })];
    await expect(fetchAll(tasks)).rejects.toMatchObject({ code: "no-space", exit: "io", at: folder });
    expect(origin.requests).toEqual([]);
    expect(await fileSize(join(folder, ".locks"))).toBeUndefined();
  });

  test("is not needed for a file that is complete, nor for the bytes of an unfinished one", async () => {
    await writeFile(join(folder, "a.gguf"), "");
    await truncate(join(folder, "a.gguf"), huge);
    await writeFile(join(folder, "b.gguf.llmctl.incomplete"), "");
    await writeFile(join(folder, "b.gguf.llmctl.ranges"), `\n0 ${huge - 1}`);
    const tasks = ["a.gguf", "b.gguf"].map((name) =>
      makeTask(name, { sizeBytes: huge, findDigest: async () => "f00d" }),
    );
    expect(await fetchAll(tasks)).toHaveLength(2);
  });
});

describe("what is on disk of a file", () => {
  const file = { name: "a.gguf", sizeBytes: 32, digest: undefined };
  const path = () => join(folder, "a.gguf");

  test.each([
    ["nothing", {}, 0, 0],
    ["all of it", { "": 32 }, 32, 0],
    ["a file of another size", { "": 31 }, 0, 0],
    ["an unfinished part", { ".llmctl.incomplete": 20 }, 12, 12],
    ["an earlier version, and a part", { "": 31, ".llmctl.incomplete": 20 }, 12, 12],
    ["all of it, and a part", { "": 32, ".llmctl.incomplete": 20 }, 32, 12],
  ])("%s", async (_, sizes: Readonly<Record<string, number>>, have, inPart) => {
    await writeFile(`${path()}.llmctl.ranges`, "\n0 8\n16 20\n30 40");
    for (const [suffix, size] of Object.entries(sizes)) await writeFile(path() + suffix, Buffer.alloc(size));
    expect(await measureHave(path(), file)).toBe(have);
    expect(await measurePart(path(), 32)).toBe(inPart);
  });

  test("a name that no file can have is none; what cannot be looked at is an error", async () => {
    expect(await fileSize(join(folder, "x".repeat(300)))).toBeUndefined();
    await writeFile(path(), "");
    await expect(fileSize(join(path(), "below"))).rejects.toMatchObject({ code: "ENOTDIR" });
  });
});

test("all connections together gather less than one range, which is what a killed process may lose", () => {
  const { connections, files, stepBytes, rangeBytes } = standardLimits;
  expect(connections * stepBytes).toBeLessThan(rangeBytes);
  expect(files).toBeLessThanOrEqual(connections);
});
