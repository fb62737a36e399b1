import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { appendFile, readFile, truncate } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isText } from "../../../../src/base/text/check-shape.ts";
import { type JournalIdentity, journalKey } from "../../../../src/bench/journal/journal-key.ts";
import { RoundJournal } from "../../../../src/bench/journal/round-journal.ts";
import type { Round } from "../../../../src/bench/measurement.ts";
import { FakeFiles } from "../../../support/fake-files.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";

const key = "0123456789abcdef";
const name = `bench/${key}.jsonl`;
const isString = (value: unknown): value is string => isText(value);

function makeRound(pass: number, promptId = "a1 é"): Round {
  const measured = { tokens: 20, generateMs: 12.5, cpuMs: null, promptTokens: 8, firstTokenMs: 3 };
  return {
    promptId,
    pass,
    order: ["none", "profile"],
    results: { none: { ...measured, draftTokens: 0, acceptedTokens: 0 }, profile: { error: "the server died" } },
    waitShare: 0.25,
    at: "2026-11-29T08:00:00.000Z",
  };
}

class Bench {
  readonly flock = new FakeFlock();
  readonly files: FakeFiles;

  constructor(files: FakeFiles) {
    this.files = files;
  }

  open(more: { readonly key?: string; readonly limitBytes?: number; readonly now?: () => number } = {}) {
    const { folder: data, operations } = this.files;
    return RoundJournal.open({ data, key, profile: "coder", files: operations, flock: this.flock.flock, ...more });
  }

  /** What another run finds. */
  async read(): Promise<readonly Round[]> {
    await using journal = await this.open();
    return journal.rounds;
  }

  path(file: string): string {
    return this.files.join(file);
  }
}

async function useBench<T>(run: (bench: Bench) => Promise<T>): Promise<T> {
  await using files = await FakeFiles.create();
  return await run(new Bench(files));
}

describe("a journal", () => {
  test("has, in the next run, what was added, and the last value of each name", async () => {
    await useBench(async (bench) => {
      {
        await using journal = await bench.open();
        await journal.put("texts", "old");
        await journal.add(makeRound(0));
        await journal.put("texts", "new");
        await journal.add(makeRound(1));
        expect(journal.rounds).toEqual([makeRound(0), makeRound(1)]);
      }
      await using journal = await bench.open();
      expect(journal.rounds).toEqual([makeRound(0), makeRound(1)]);
      expect(journal.get("texts", isString)).toBe("new");
      expect(journal.get("traces", isString)).toBeUndefined();
      expect(journal.get("texts", (value): value is number => typeof value === "number")).toBeUndefined();
    });
  });

  test("keeps a round through a power cut as soon as `add` has returned", async () => {
    await useBench(async (bench) => {
      const journal = await bench.open();
      await journal.add(makeRound(0));
      bench.files.cutPower({ keepsNames: false });
      expect(readFileSync(bench.path(name), "utf8")).toContain('"pass":0');
      await journal[Symbol.asyncDispose]();
    });
  });

  test("writes lines that are added at once one after the other", async () => {
    await useBench(async (bench) => {
      {
        await using journal = await bench.open();
        bench.files.mostPerWrite = 7;
        await Promise.all([0, 1, 2].map((pass) => journal.add(makeRound(pass))));
      }
      expect(await bench.read()).toEqual([0, 1, 2].map((pass) => makeRound(pass)));
    });
  });

  test("does not read lines of another version, and leaves them where they are", async () => {
    await useBench(async (bench) => {
      mkdirSync(bench.path("bench"), { mode: 0o700 });
      writeFileSync(bench.path(name), `{"version":2,"round":1}\n`, { mode: 0o600 });
      {
        await using journal = await bench.open();
        expect(journal.rounds).toEqual([]);
        await journal.add(makeRound(0));
      }
      expect(readFileSync(bench.path(name), "utf8").split("\n")[0]).toBe('{"version":2,"round":1}');
      expect(await bench.read()).toEqual([makeRound(0)]);
    });
  });
});

test("a journal that was cut at any byte has the first rounds, and is whole after the next one", async () => {
  await useBench(async (bench) => {
    {
      await using journal = await bench.open();
      for (let pass = 0; pass < 2; pass += 1) await journal.add(makeRound(pass));
      await journal.put("texts", "x");
      await journal.add(makeRound(2));
    }
    const whole = await readFile(bench.path(name));
    for (let length = 0; length <= whole.length; length += 1) {
      writeFileSync(bench.path(name), whole.subarray(0, length));
      const ends = whole.subarray(0, length).filter((byte) => byte === 0x0a).length;
      const kept = [0, 1, 2].slice(0, [0, 1, 2, 2, 3][ends]);
      {
        await using journal = await bench.open();
        expect([length, journal.rounds.map(({ pass }) => pass)]).toEqual([length, kept]);
        await journal.add(makeRound(9));
      }
      const lines = readFileSync(bench.path(name), "utf8").split("\n");
      expect(lines.pop()).toBe("");
      expect(lines.map((line) => typeof JSON.parse(line))).toEqual(lines.map(() => "object"));
      expect((await bench.read()).map(({ pass }) => pass)).toEqual([...kept, 9]);
    }
  });
});

describe("a tail that is not ours is cut off", () => {
  test.each([
    ["zeros, as a power cut leaves them", "\0\0\0\0"],
    ["a line of zeros", "\0\0\n"],
    ["half of a line", '{"version":1,"rou'],
    ["a line of another program", "hello\n"],
    ["a round without its results", '{"version":1,"round":{"promptId":"a","pass":0}}\n'],
    ["a negative time", `${JSON.stringify({ version: 1, round: { ...makeRound(0), waitShare: -1 } })}\n`],
    ["lists without end", `${"[".repeat(1000)}\n`],
  ])("%s", async (_, tail) => {
    await useBench(async (bench) => {
      {
        await using journal = await bench.open();
        await journal.add(makeRound(0));
      }
      const whole = await readFile(bench.path(name), "utf8");
      await appendFile(bench.path(name), tail);
      expect(await bench.read()).toEqual([makeRound(0)]);
      expect(await readFile(bench.path(name), "utf8")).toBe(whole);
    });
  });

  test("any bytes in the middle hide no round behind them", async () => {
    await useBench(async (bench) => {
      await (await bench.open())[Symbol.asyncDispose]();
      const lines = [0, 1].map((pass) => JSON.stringify({ version: 1, round: makeRound(pass) }));
      const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
      await fc.assert(
        fc.asyncProperty(noise, async (bytes) => {
          writeFileSync(bench.path(name), `${lines[0]}\n${bytes.replaceAll("\n", "")}\n${lines[1]}\n`);
          expect((await bench.read()).map(({ pass }) => pass)).toEqual([0, 1]);
        }),
        { numRuns: 50 },
      );
    });
  });
});

describe("a full disk", () => {
  test.each(["write", "sync"])("at a %s is an error with a place and a fix, and loses nothing", async (verb) => {
    await useBench(async (bench) => {
      {
        await using journal = await bench.open();
        await journal.add(makeRound(0));
        bench.files.mostPerWrite = 50;
        const from = bench.files.journal.length;
        bench.files.fault = (operation, n) =>
          n > from + (verb === "write" ? 2 : 0) && operation === `${verb} ${name}` ? "ENOSPC" : undefined;
        await expect(journal.add(makeRound(1))).rejects.toMatchObject({
          code: "state-unwritable",
          message: `cannot write ${bench.path(name)}: no space left on the disk`,
          at: bench.path("bench"),
          fix: "free some space",
        });
        expect(journal.rounds).toEqual([makeRound(0)]);
        expect(readFileSync(bench.path(name), "utf8")).toMatch(/^[^\n]+\n$/);
        bench.files.fault = () => undefined;
        await journal.add(makeRound(2));
        expect(journal.rounds).toEqual([makeRound(0), makeRound(2)]);
      }
      expect(await bench.read()).toEqual([makeRound(0), makeRound(2)]);
    });
  });

  test("on which half a line cannot be removed, either, leaves it to the next line", async () => {
    await useBench(async (bench) => {
      {
        await using journal = await bench.open();
        bench.files.mostPerWrite = 50;
        const from = bench.files.journal.length;
        bench.files.fault = (operation, n) =>
          operation.startsWith("truncate") || (n > from + 2 && operation.startsWith("write")) ? "EIO" : undefined;
        await expect(journal.add(makeRound(0, "a long name".repeat(99)))).rejects.toMatchObject({
          code: "state-unwritable",
        });
        bench.files.fault = () => undefined;
        await journal.add(makeRound(1));
      }
      expect(await bench.read()).toEqual([makeRound(1)]);
    });
  });

  test("at the opening leaves no lock and no open file", async () => {
    await useBench(async (bench) => {
      bench.files.fault = (operation) => (operation.startsWith("open") ? "EROFS" : undefined);
      await expect(bench.open()).rejects.toMatchObject({ code: "state-unwritable" });
      expect(bench.files.open).toEqual([]);
      bench.files.fault = () => undefined;
      expect(await bench.read()).toEqual([]);
    });
  });
});

describe("limits", () => {
  test("a line beyond the limit is refused, and the next that fits is kept", async () => {
    await useBench(async (bench) => {
      await using journal = await bench.open({ limitBytes: 1000 });
      await journal.add(makeRound(0));
      await expect(journal.put("texts", "x".repeat(1000))).rejects.toMatchObject({ code: "bench-journal-full" });
      await journal.put("texts", "x");
      expect(journal.get("texts", isString)).toBe("x");
    });
  });

  test("a file beyond the limit is left alone", async () => {
    await useBench(async (bench) => {
      await (await bench.open())[Symbol.asyncDispose]();
      await truncate(bench.path(name), 1001);
      await expect(bench.open({ limitBytes: 1000 })).rejects.toMatchObject({
        code: "bench-journal-full",
        at: bench.path(name),
        fix: "remove that file to measure anew",
      });
      expect(readFileSync(bench.path(name)).length).toBe(1001);
    });
  });

  test("a value that no reader would take back is refused", async () => {
    await useBench(async (bench) => {
      await using journal = await bench.open();
      const many = Array.from({ length: 500_000 }, () => 0);
      await expect(journal.put("traces", many)).rejects.toMatchObject({ code: "bench-journal-full" });
    });
  });
});

test("a second process with the same key is refused and named the first one; another key is free", async () => {
  await useBench(async (bench) => {
    await using journal = await bench.open();
    await expect(bench.open()).rejects.toMatchObject({
      code: "bench-running",
      message: `the same measurement of "coder" runs already: pid ${process.pid}`,
      exit: "busy",
      at: journal.path,
    });
    await using other = await bench.open({ key: "fedcba9876543210" });
    expect(other.rounds).toEqual([]);
  });
});

describe("old journals are removed", () => {
  const now = Date.parse("2026-11-29T00:00:00Z");
  const day = 24 * 3600 * 1000;
  const keyOf = (index: number) => index.toString(16).padStart(16, "0");

  function putJournals(bench: Bench, agesDays: readonly number[]): void {
    mkdirSync(bench.path("bench"), { mode: 0o700 });
    for (const [index, age] of agesDays.entries()) {
      const path = bench.path(`bench/${keyOf(index)}.jsonl`);
      writeFileSync(path, "", { mode: 0o600 });
      utimesSync(path, new Date(now - age * day), new Date(now - age * day));
    }
  }

  const left = (bench: Bench) =>
    readdirSync(bench.path("bench")).filter((file) => file.endsWith(".jsonl") && file !== `${key}.jsonl`);

  test("by age, but not the one in use, nor one that another process has open, nor another file", async () => {
    await useBench(async (bench) => {
      putJournals(bench, [89, 91, 400]);
      writeFileSync(bench.path("bench/notes.jsonl"), "");
      const end = bench.flock.hold(bench.path(`bench/${keyOf(2)}.lock`));
      await (await bench.open({ now: () => now }))[Symbol.asyncDispose]();
      expect(left(bench)).toEqual([`${keyOf(0)}.jsonl`, `${keyOf(2)}.jsonl`, "notes.jsonl"]);
      end();
      await (await bench.open({ key: keyOf(0), now: () => now }))[Symbol.asyncDispose]();
      expect(left(bench)).toEqual([`${keyOf(0)}.jsonl`, "notes.jsonl"]);
      expect(existsSync(bench.path(`bench/${keyOf(2)}.lock`))).toBe(false);
    });
  });

  test("by number, the least recently written first", async () => {
    await useBench(async (bench) => {
      putJournals(
        bench,
        Array.from({ length: 60 }, (_, index) => 60 - index),
      );
      await (await bench.open({ now: () => now }))[Symbol.asyncDispose]();
      expect(left(bench)).toEqual(Array.from({ length: 49 }, (_, index) => `${keyOf(index + 11)}.jsonl`));
    });
  });
});

test("the key differs with everything that a measurement depends on, and with nothing else", () => {
  const identity: JournalIdentity = {
    purpose: "bench",
    build: "v0.5.0",
    files: [{ path: "/m.gguf", sizeBytes: 1, modifiedMs: 2 }],
    commands: [["a", "b"], []],
    promptIds: ["p"],
    timing: "wall",
    concurrency: 1,
    maxTokens: 128,
    machine: ["EPYC"],
  };
  const others: Partial<JournalIdentity>[] = [
    { purpose: "tune" },
    { build: "b7698" },
    { files: [{ path: "/m.gguf", sizeBytes: 1, modifiedMs: 3 }] },
    { files: [{ path: "/m.gguf", sizeBytes: 2, modifiedMs: 2 }] },
    { commands: [["a"], ["b"]] },
    { promptIds: [] },
    { concurrency: 2 },
    { maxTokens: 64 },
    { machine: [] },
  ];
  const keys = [identity, ...others.map((other) => ({ ...identity, ...other }))].map(journalKey);
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys[0]).toMatch(/^[0-9a-f]{16}$/);
  expect(journalKey(Object.fromEntries(Object.entries(identity).toReversed()) as unknown as JournalIdentity)).toBe(
    keys[0],
  );
});
