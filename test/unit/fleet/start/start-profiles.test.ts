import { describe, expect, test } from "vitest";
import { exitCodes, type ExitName } from "../../../../src/base/exit-codes.ts";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { findPaths } from "../../../../src/base/files/paths.ts";
import type { StartEvent } from "../../../../src/fleet/start/start-event.ts";
import type { StartHost } from "../../../../src/fleet/start/start-host.ts";
import { startProfiles } from "../../../../src/fleet/start/start-profiles.ts";
import { readEventLog } from "../../../support/read-event-log.ts";
import { ProfileFolder } from "../../../support/profile-folder.ts";

interface Asked {
  readonly files: Readonly<Record<string, string>>;
  readonly names?: readonly string[];
  readonly all?: boolean;
  /** How the start of a profile ends: its exit code, or what it throws. */
  readonly ends?: Readonly<Record<string, number | Error>>;
  readonly host?: Partial<StartHost>;
  readonly env?: NodeJS.ProcessEnv;
  readonly inspect?: (cwd: string) => void;
}

/** What happened, in order, and how it ended. */
interface Outcome {
  readonly log: readonly string[];
  readonly code: number | undefined;
  readonly error: unknown;
}

async function start({
  files,
  names = [],
  all = false,
  ends = {},
  host = {},
  env = {},
  inspect,
}: Asked): Promise<Outcome> {
  await using folder = await ProfileFolder.create(files);
  const log: string[] = [];
  const onEvent = (event: StartEvent): void => {
    if (event.kind === "profile") log.push(`${event.isFirst ? "first" : "then"} ${event.name}`);
    if (event.kind === "error") log.push(describeError(event.error));
  };
  const holdStart = (why: string) => (log.push(`hold: ${why}`), { close: () => void log.push("release") });
  const options = {
    all,
    load: folder.options(),
    paths: findPaths({ HOME: folder.cwd, LLMCTL_HOME: `${folder.cwd}/home` }, 1000),
    env,
    fetch: true,
    verify: true,
    timeoutMs: undefined,
    warn: (text: string) => void log.push(text),
    host: { onEvent, holdStart, ...host },
    start: async ({ name }: { readonly name: string }, given: { readonly host: StartHost }) => {
      log.push(`start ${name}${given.host.runHere === undefined ? "" : " here"}`);
      const end = ends[name] ?? 0;
      if (typeof end === "number") return end;
      throw end;
    },
  };
  try {
    return { code: await startProfiles(names, options), log, error: undefined };
  } catch (error) {
    inspect?.(folder.cwd);
    return { code: undefined, log, error };
  } finally {
    inspect?.(folder.cwd);
  }
}

function describeError(error: unknown): string {
  return error instanceof LlmctlError ? `error ${error.code}: ${error.message} [${error.exit}]` : String(error);
}

/** Without what the service manager is told. */
const withoutHolds = (log: readonly string[]) => log.filter((line) => !/^(?:hold|release)/.test(line));
const profile = (...dependsOn: readonly string[]) => `model: m.gguf\ndepends_on: [${dependsOn.join(", ")}]\n`;
const failed = (exit: ExitName) => new LlmctlError("a-code", "a reason", { exit });
const inForeground = { runHere: async () => 0 };
const held = (name: string) => `hold: starting "${name}", which it depends on`;

describe("several profiles", () => {
  const files = {
    "near/chat.yaml": profile("embed", "rerank"),
    "near/rerank.yaml": profile("embed"),
    "near/embed.yaml": profile(),
    "near/other.yaml": profile(),
  };

  test("are started one after the other, each after what it depends on", async () => {
    const { code, log } = await start({ files, names: ["chat", "other"] });
    expect(code).toBe(0);
    expect(withoutHolds(log)).toEqual([
      "first embed",
      "start embed",
      "then rerank",
      "start rerank",
      "then chat",
      "start chat",
      "then other",
      "start other",
    ]);
  });

  test("end with the code of the first that failed, and the others are started all the same", async () => {
    const { code, log } = await start({
      files,
      names: ["embed", "other", "rerank"],
      ends: { embed: 0, other: 11, rerank: 12 },
    });
    expect(code).toBe(11);
    expect(log.filter((line) => line.startsWith("start"))).toEqual(["start embed", "start other", "start rerank"]);
  });

  test("what depends on one that failed is not started, and has its exit code", async () => {
    const { code, log } = await start({
      files,
      names: ["chat", "other"],
      ends: { embed: failed("missingFile") },
    });
    expect(code).toBe(exitCodes.missingFile.code);
    expect(withoutHolds(log)).toEqual([
      "first embed",
      "start embed",
      "error a-code: a reason [missingFile]",
      "then rerank",
      'error dependency-not-ready: "rerank" is not started: it depends on "embed", which is not ready [missingFile]',
      "then chat",
      'error dependency-not-ready: "chat" is not started: it depends on "embed", which is not ready [missingFile]',
      "then other",
      "start other",
    ]);
  });

  test("a dependency that ends with an unknown code counts as failed", async () => {
    const { code, log } = await start({ files, names: ["rerank"], ends: { embed: 99 } });
    expect(code).toBe(99);
    expect(log.at(-1)).toMatch(/^error dependency-not-ready: .* \[failed\]$/);
  });

  test("an error of llmctl itself keeps the others from nothing, and has its own code", async () => {
    const { code, log } = await start({ files, names: ["embed", "other"], ends: { embed: new TypeError("a bug") } });
    expect(code).toBe(exitCodes.bug.code);
    expect(withoutHolds(log)).toEqual(["first embed", "start embed", "TypeError: a bug", "then other", "start other"]);
  });

  test("cannot run in the foreground", async () => {
    const { error, log } = await start({ files, names: ["embed", "other"], host: inForeground });
    expect(error).toMatchObject({ code: "not-in-foreground", exit: "usage", fix: "add -d" });
    expect(log).toEqual([]);
  });

  test("the service manager is told of each that others wait for, until it has started or failed", async () => {
    const { log } = await start({ files, names: ["rerank"], ends: { embed: failed("config") } });
    expect(log).toEqual([
      "first embed",
      held("embed"),
      "start embed",
      "error a-code: a reason [config]",
      "release",
      "then rerank",
      expect.stringContaining("dependency-not-ready"),
    ]);
  });
});

describe("one profile in the foreground", () => {
  const files = { "near/chat.yaml": profile("embed"), "near/embed.yaml": profile() };

  test("comes after its dependencies, which run in the background", async () => {
    const { code, log } = await start({ files, names: ["chat"], host: inForeground });
    expect(code).toBe(0);
    expect(log).toEqual(["first embed", held("embed"), "start embed", "release", "then chat", "start chat here"]);
  });

  test("fails with its own error, or with that of its dependency", async () => {
    const own = await start({ files, names: ["chat"], host: inForeground, ends: { chat: failed("config") } });
    expect(own.error).toMatchObject({ code: "a-code" });
    const other = await start({ files, names: ["chat"], host: inForeground, ends: { embed: failed("config") } });
    expect(other.error).toMatchObject({ code: "dependency-not-ready", exit: "config" });
    expect(other.log).not.toContain("start chat here");
  });
});

describe("a single profile", () => {
  const files = { "near/embed.yaml": profile() };

  test("has no heading, and its code or error is that of the start", async () => {
    expect(await start({ files, names: ["embed"], ends: { embed: 11 } })).toEqual({
      code: 11,
      log: ["start embed"],
      error: undefined,
    });
    const { error, log } = await start({ files, names: ["embed"], ends: { embed: failed("config") } });
    expect([describeError(error), log]).toEqual(["error a-code: a reason [config]", ["start embed"]]);
  });

  test.each<[string, NodeJS.ProcessEnv, Partial<StartHost>, boolean]>([
    ["by a service", { NOTIFY_SOCKET: "/run/n" }, inForeground, true],
    ["by a person", {}, inForeground, false],
    ["for a service that it does not supervise", { NOTIFY_SOCKET: "/run/n" }, {}, false],
  ])("that fails when it is started %s is recorded: only where nobody watches", async (_, env, host, isRecorded) => {
    let recorded = "";
    const inspect = (cwd: string) => (recorded ||= readEventLog(`${cwd}/home/state`, "embed"));
    const asked = { files, names: ["embed"], ends: { embed: failed("config") }, env, host, inspect };
    expect((await start(asked)).error).toMatchObject({ code: "a-code" });
    expect(recorded.includes("a reason")).toBe(isRecorded);
  });
});

describe("all profiles", () => {
  test("are those that people wrote, and no templates", async () => {
    const files = {
      "near/base.yaml": "threads: 3\n",
      "near/chat.yaml": "extends: base\nmodel: m.gguf\n",
      "near/worker.yaml": "kind: rpc-worker\nserver: { port: 50052 }\n",
      "far/embed.yaml": profile(),
    };
    const { log } = await start({ files, all: true });
    expect(log.filter((line) => line.startsWith("start"))).toEqual(
      ["start chat", "start worker", "start embed"].sort(),
    );
  });

  test("are none where only the package has some", async () => {
    const { error } = await start({ files: {}, all: true });
    expect(error).toMatchObject({
      code: "no-profiles",
      exit: "config",
      at: expect.stringMatching(/^searched .*near, .*far$/) as string,
      fix: { before: "see", run: ["profile", "list"] },
    });
  });
});
