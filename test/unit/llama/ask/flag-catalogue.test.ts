import { readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askBuild, describeBuild } from "../../../../src/llama/ask/asked-build.ts";
import { FlagCatalogue, readFlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import { askLlamaCli } from "../../../../src/llama/ask/llama-cli-abilities.ts";
import { exportRelease, readReleaseCatalogue } from "../../../../src/llama/ask/release-catalogue.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import type { Reply } from "../../../support/fake-build.ts";
import { makeProfile, oldHelp, readCatalogue, readHelp } from "../../../support/llama-help.ts";

const catalogue = readCatalogue("v0.5.0");

describe("the flags of a build", () => {
  test("are found by each spelling, with underscores too", () => {
    const entry = catalogue.entries.find(({ names }) => names.includes("--ctx-size"));
    for (const name of ["-c", "--ctx-size", "--ctx_size"]) {
      expect(catalogue.find(name)).toEqual({ name: name.replace("_", "-"), entry, negated: false });
    }
    expect(catalogue.find("--no-kv-offload")).toMatchObject({ name: "--no-kv-offload", negated: true });
    expect(catalogue.find("--kv-offload")).toMatchObject({ name: "--kv-offload", negated: false });
  });

  test.each(["--nope", "-c_", "ctx-size", ""])("%j is none", (name) => {
    expect([catalogue.has(name), catalogue.find(name), catalogue.removedHint(name)]).toEqual([
      false,
      undefined,
      undefined,
    ]);
  });

  test("of several names have the first that the build knows", () => {
    expect(catalogue.findFirst(["--nope", "--spec-draft-n-max", "--ctx-size"])?.name).toBe("--spec-draft-n-max");
    expect(catalogue.findFirst(["--nope"])).toBeUndefined();
    expect(catalogue.findFirst([])).toBeUndefined();
  });

  test("that the help lists only as removed are absent, with a hint", () => {
    expect([catalogue.has("--draft-max"), catalogue.findFirst(["--draft-max"])]).toEqual([false, undefined]);
    expect(catalogue.removedHint("--draft-max")).toBe("--spec-draft-n-max or --spec-ngram-mod-n-max");
    expect(catalogue.removedHint("--draft_max")).toBe(catalogue.removedHint("--draft-max"));
    expect(catalogue.removedHint("--ctx-size")).toBeUndefined();
  });

  test("that are misspelled are most probably known ones", () => {
    expect(catalogue.closest("--ctx-sise")).toBe("--ctx-size");
    expect(catalogue.closest("--ctx_sise")).toBe("--ctx-size");
    expect(catalogue.closest("--no-kv-ofload")).toBe("--no-kv-offload");
    expect(catalogue.closest("--draft-max")).not.toBe("--draft-max");
    expect(catalogue.closest("--something-else-entirely")).toBeUndefined();
  });
});

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ PATH: process.env["PATH"] });
});
afterEach(() => session[Symbol.dispose]());

const answers = (help: string, version: Omit<Reply, "when">): Reply[] => [
  { when: "--help", stdout: help },
  { when: "--version", ...version },
];
const v1 = { stderr: "ggml_cuda_init: found 1 device\nversion: 1 (abc) \nbuilt with gcc\n" };
const env = { PATH: process.env["PATH"] ?? "", A: "b" };
const read = () => readFlagCatalogue(session.build.server, { cacheDir: session.paths.cache, env });

describe("a binary that is asked for its flags", () => {
  test("answers once, until it is another binary", async () => {
    session.build.put("llama-server", answers(oldHelp, v1));
    const first = await read();
    expect(first.version).toBe("1 (abc)");
    expect(first.entries).toEqual(parseHelp(oldHelp));
    expect(await read()).toEqual(first);
    expect(session.build.asked().toSorted()).toEqual(["--help", "--version"]);
    // The same size, later.
    utimesSync(session.build.server, 1, statSync(session.build.server).mtimeMs / 1000 + 10);
    expect(await read()).toEqual(first);
    expect(session.build.asked()).toHaveLength(4);
    // The same time, another size.
    const { mtime } = statSync(session.build.server);
    session.build.put("llama-server", answers(oldHelp, { stdout: "version: 22 (other)\n" }));
    writeFileSync(session.build.server, "# longer\n", { flag: "a" });
    utimesSync(session.build.server, mtime, mtime);
    expect((await read()).version).toBe("22 (other)");
  });

  test.each([
    ["is cut off", '{"format":1,'],
    ["has another shape", '{"format":0,"version":"1","entries":[]}'],
    ["has no entries", '{"format":1,"version":"1"}'],
    ["has no version", '{"format":1,"entries":[]}'],
    ["has a version that is none", '{"format":1,"version":1,"entries":[]}'],
    ["is null", "null"],
    ["is text", '"text"'],
    ["is of another file", "other"],
  ])("is asked again when its cached answer %s", async (_, text) => {
    session.build.put("llama-server", answers(oldHelp, v1));
    const first = await read();
    const folder = join(session.paths.cache, "flags");
    const [name = ""] = readdirSync(folder);
    const { size, mtimeMs } = statSync(session.build.server);
    const other = { format: 1, file: "/other", sizeBytes: size, mtimeMs, version: "1", entries: [] };
    writeFileSync(join(folder, name), text === "other" ? JSON.stringify(other) : text);
    expect(await read()).toEqual(first);
    expect(session.build.asked()).toHaveLength(4);
  });

  test.each([
    [{ stderr: "no version\n" }, "of unknown version"],
    [{ stdout: "version: 2 (b)\r\n" }, "2 (b)"],
    [{ stdout: "version: 2\n", stderr: "version: 1\n" }, "1"],
    [{ stderr: "my version: 1\n" }, "of unknown version"],
  ])("with the version %j has the version %s", async (said, version) => {
    session.build.put("llama-server", answers(oldHelp, said));
    expect((await read()).version).toBe(version);
  });

  test("that is no llama-server is named", async () => {
    session.build.put("llama-server", answers("usage: ls\n", v1));
    await expect(read()).rejects.toMatchObject({
      code: "help-unreadable",
      exit: "missingFile",
      at: session.build.server,
      fix: { before: "name a llama-server of llama.cpp, or run", run: ["build"] },
      cause: expect.objectContaining({ code: "help-unreadable" }) as Error,
    });
  });

  test.each(["--help", "--version"])("that fails at %s is named with its reason", async (when) => {
    session.build.put("llama-server", [{ when, stderr: "no room\n", exitCode: 3 }, ...answers(oldHelp, v1)]);
    await expect(read()).rejects.toMatchObject({
      code: "binary-failed",
      message: `"${session.build.server}" failed to answer ${when}: no room`,
      at: session.build.server,
    });
  });
});

describe("the build of a profile", () => {
  const ask = (program: "llama-server" | "llama-cli") => {
    const { paths, build } = session;
    return askBuild({ llama: { binary: build.server }, at: "p.yaml:llama", program, paths, env });
  };

  test("is its program with its flags, and its name for people", async () => {
    session.build.put("llama-server", answers(oldHelp, v1));
    const asked = await ask("llama-server");
    expect(asked).toEqual({
      file: session.build.server,
      label: session.build.server,
      catalogue: new FlagCatalogue("1 (abc)", parseHelp(oldHelp)),
    });
    expect(describeBuild(asked)).toBe(`${session.build.server}: 1 (abc)`);
  });

  test("may lack a llama-cli", async () => {
    await expect(ask("llama-cli")).rejects.toMatchObject({
      code: "cli-missing",
      exit: "missingFile",
      message: `there is no llama-cli beside "${session.build.server}"`,
      at: "p.yaml:llama",
      fix: { run: ["build"], after: ", which makes both", or: "name a build in llama.build" },
    });
    const file = session.build.put("llama-cli", answers(oldHelp, v1));
    expect((await ask("llama-cli")).file).toBe(file);
    session.write("llama-cli", "no program", 0o700);
    await expect(ask("llama-cli")).rejects.toMatchObject({ code: "binary-garbage", at: "p.yaml:llama" });
  });

  test.each([
    ["b7698", { drafts: true, connects: false }],
    ["v0.5.0", { drafts: true, connects: true }],
  ] as const)("of %s has a llama-cli that can do %j", async (build, abilities) => {
    const profile = makeProfile({ llama: { binary: session.build.server } });
    const asking = () => askLlamaCli(profile, { paths: session.paths, env });
    expect(await asking()).toEqual({ drafts: false, connects: false });
    session.build.put("llama-cli", answers(readHelp(`llama-cli-${build}`), v1));
    expect(await asking()).toEqual(abilities);
  });
});

describe("the flags of a release in an image", () => {
  test("of the default release are in the package", async () => {
    expect(await readReleaseCatalogue(exportRelease, session.paths)).toMatchObject({ version: exportRelease });
  });

  test("of another release need an installed build of it", async () => {
    await expect(readReleaseCatalogue("b7698", session.paths)).rejects.toMatchObject({
      code: "release-unknown",
      exit: "missingFile",
      message: "the flags of llama.cpp b7698 are not known: no build of it is installed",
      at: "--release b7698",
      fix: { run: ["build", "--ref", "b7698"], or: "leave out --release for v0.5.0" },
      cause: expect.objectContaining({ code: "build-unknown" }) as Error,
    });
  });
});
