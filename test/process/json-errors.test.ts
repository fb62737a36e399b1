import { mkdir, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { exitCodes } from "../../src/base/exit-codes.ts";
import type { ErrorDocument } from "../../src/cli/screen/error-document.ts";
import { breakReaddir, throwOutsideOfPromises } from "../support/broken-readdir.ts";
import { hasJson, listCommands } from "../support/cli-commands.ts";
import { llmctl, type RunOptions } from "../support/llmctl.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

afterEach(async () => {
  await home[Symbol.asyncDispose]();
});

/** Runs a command that must fail, and reads the one document that it prints, alone on stdout. */
async function fail(
  args: readonly string[],
  more: Partial<RunOptions> = {},
): Promise<ErrorDocument["error"] & { readonly exitCode: number }> {
  const { exitCode = -1, stdout, stderr } = await llmctl(args, { home, ...more });
  expect(stderr).not.toContain("llmctl: error");
  const lines = stdout.split("\n");
  expect(lines).toHaveLength(1);
  const { version, error, ...rest } = JSON.parse(lines[0] ?? "") as ErrorDocument;
  expect({ version, rest }).toEqual({ version: 1, rest: {} });
  expectShape(error);
  return { ...error, exitCode };
}

function expectShape({ code, message, at, fix, problems }: ErrorDocument["error"]): void {
  expect(code).toMatch(/^[a-z][a-z0-9-]*$/);
  expect(problems[0]).toEqual({ message, at, fix });
  for (const problem of problems) {
    expect(Object.keys(problem).toSorted()).toEqual(["at", "fix", "message"]);
    expect(problem.message).toEqual(expect.any(String));
    expect(problem.at === null || typeof problem.at === "string").toBe(true);
    if (typeof problem.fix === "object" && problem.fix !== null)
      expect(problem.fix.run).toEqual(expect.arrayContaining([expect.any(String)]));
    else if (problem.fix !== null) expect(problem.fix).toEqual(expect.any(String));
  }
}

// Some commands are only groups.
const everyCommand = listCommands().filter((one) => one.command.commands.length === 0 || hasJson(one));
const withJson = everyCommand.filter(hasJson).map(({ path }) => path);
const withoutJson = everyCommand.filter((one) => !hasJson(one)).map(({ path }) => path);

describe("wrong usage is an error in JSON", () => {
  // More arguments than any command takes, since one command takes unknown options as search words.
  const wrong = ["--no-such-option", "a", "b", "c"];

  test.each(withJson.map((path) => [path.join(" "), path] as const))("by %s, which has --json", async (_, path) => {
    for (const args of [
      [...path, "--json", ...wrong],
      [...path, ...wrong, "--json"],
    ]) {
      expect(await fail(args)).toMatchObject({ code: "usage", exitCode: exitCodes.usage.code });
    }
  });

  test.each(withoutJson.map((path) => [path.join(" "), path] as const))(
    "by %s, which has no --json",
    async (_, path) => {
      expect(await fail([...path, "--json"])).toMatchObject({
        code: "usage",
        message: "unknown option '--json'",
        exitCode: exitCodes.usage.code,
      });
    },
  );

  test.each([
    ["status --json", "missing required argument 'name'"],
    ["--json", "unknown option '--json'"],
    ["events p -n many --json", "is invalid"],
    ["models --json prune", "unknown option '--json'"],
    ["build --json", "--json goes with"],
    ["plan --json --diff --cli p", "cannot be used with"],
    ["check --json --all p", "either names or --all"],
  ])("by %s", async (line, message) => {
    const error = await fail(line.split(" "));
    expect(error).toMatchObject({ code: "usage", exitCode: 2 });
    expect(error.message).toContain(message);
  });

  test("with a suggestion", async () => {
    expect(await fail(["pss", "--json"])).toMatchObject({
      message: "unknown command 'pss'",
      fix: 'did you mean "ps"?',
    });
  });
});

test("--json after -- is no option: the error is text", async () => {
  for (const args of [
    ["ps", "--", "--json"],
    ["plan", "p", "--build", "--json"],
  ]) {
    const { stdout, stderr, exitCode } = await llmctl(args, { home });
    expect(stdout).toBe("");
    expect(stderr).toContain("llmctl: error: ");
    expect(exitCode).not.toBe(0);
  }
});

describe("a known failure is an error in JSON", () => {
  test.each([
    ["status q", "not-running", 3, { run: ["ps"] }],
    ["events q", "no-events", 66, { run: ["up", "q"] }],
    ["plan q", "profile-unknown", 78, undefined],
    ["plan --cli q", "profile-unknown", 78, undefined],
    ["profile show q", "profile-unknown", 78, undefined],
    ["pull q", "profile-unknown", 78, undefined],
    ["outdated q", "profile-unknown", 78, undefined],
    ["check q --remote", "profile-unknown", 78, undefined],
    ["flags", "build-missing", 66, { run: ["build"] }],
    ["flags --build b1", "build-unknown", 66, { run: ["build", "--ref", "b1"] }],
    ["build --use b1", "build-unknown", 66, { run: ["build", "--ref", "b1"] }],
    ["inspect ./none.gguf", "file-missing", 66, undefined],
    ["check ./none.gguf ./none.gguf", "file-missing", 66, undefined],
  ])("by %s", async (line, code, exitCode, fix) => {
    const error = await fail([...line.split(" "), "--json"]);
    expect(error).toMatchObject({ code, exitCode, ...(fix === undefined ? {} : { fix }) });
  });

  test("with all problems of a profile", async () => {
    await home.writeProfile("p", "model: m.gguf\nctx_sise: 1\nserver: { prt: 2 }\n");
    const error = await fail(["plan", "p", "--json"]);
    expect(error).toMatchObject({ code: "profile-invalid", exitCode: 78 });
    expect(error.problems.map(({ at, fix }) => [at, fix])).toEqual([
      ["config/profiles/p.yaml:2:1", expect.stringContaining("ctx_size")],
      ["config/profiles/p.yaml:3:11", expect.stringContaining("port")],
    ]);
  });

  test.each(["pull", "outdated"])("with the problems of all profiles by %s", async (command) => {
    await home.writeProfile("p", "model: m.gguf\nctx_sise: 1\n");
    const error = await fail([command, "q", "p", "--json"]);
    expect(error.exitCode).toBe(78);
    expect(error.problems.map(({ message }) => message)).toEqual([
      expect.stringContaining('no profile "q"'),
      expect.stringContaining("ctx_sise"),
    ]);
  });

  test("by ps when the state folder is a file", async () => {
    await writeFile(home.join("state"), "no folder");
    expect((await fail(["ps", "--json"])).exitCode).not.toBe(0);
  });

  test("as the last line of pull --json", async () => {
    await home.writeProfile("p", { model: { hf: "owner/repo", quant: "Q8_0" } });
    expect(await fail(["pull", "p", "--json"], { env: { HF_HUB_OFFLINE: "1" } })).toMatchObject({
      code: "hub-offline",
    });
  });
});

describe("a bug is an error in JSON, with its stack", () => {
  test.each([
    ["thrown", 'throw new TypeError("boom");'],
    ["thrown outside of every promise", throwOutsideOfPromises('new TypeError("boom")')],
    [
      "rejected without a handler",
      'void Promise.reject(new TypeError("boom")); await new Promise(() => setTimeout(() => {}, 60_000));',
    ],
  ])("%s", async (_, body) => {
    await mkdir(home.join("state"), { mode: 0o700 });
    const error = await fail(["ps", "--json"], { env: { NODE_OPTIONS: breakReaddir(body) } });
    expect(error).toMatchObject({ code: "internal-error", message: "boom", exitCode: exitCodes.bug.code });
    expect(error.stack).toMatch(/^TypeError: boom\n {4}at /);
  });
});

describe("a command that fixes a problem is data in every answer", () => {
  test("of check, with several profiles in one document", async () => {
    await home.writeFakeProfile("p", {}, { model: { hf: "owner/repo", quant: "Q8_0" } });
    const { stdout, exitCode } = await llmctl(["check", "p", "q", "--json"], { home });
    const [p, q] = JSON.parse(stdout) as { findings: { code: string; fix?: unknown }[] }[];
    expect(p?.findings.find(({ code }) => code === "model-missing")?.fix).toEqual({ run: ["pull", "p"] });
    expect(q?.findings.map(({ code }) => code)).toEqual(["profile-unknown"]);
    expect(exitCode).not.toBe(0);
  });

  test("of plan, beside the refused command line", async () => {
    await home.writeFakeProfile("p", {}, { args: ["--cache-reuse", "abc", "--threads-http", "many"] });
    const { stdout, exitCode } = await llmctl(["plan", "p", "--json"], { home });
    const { error, launch, refused } = JSON.parse(stdout) as ErrorDocument & Record<"launch" | "refused", unknown>;
    expectShape(error);
    expect(error).toMatchObject({
      code: "flag-refused",
      problems: [{ message: /--cache-reuse/ }, { message: /--threads-http/ }],
    });
    expect(refused).toMatchObject([{ message: error.message }, {}]);
    expect(launch).toMatchObject({ name: "p", args: expect.arrayContaining(["--cache-reuse"]) });
    expect(exitCode).toBe(exitCodes.config.code);
  });

  test("of status and ps, with the profile's own name", async () => {
    await home.writeFakeProfile("p", { exitWhileLoading: { code: 1, lines: ["error: invalid argument: --x"] } });
    const up = await llmctl(["up", "-d", "p"], { home });
    expect(up.stderr).toContain('fix: see "llmctl plan p" for the key that the flag comes from');
    const fix = { run: ["plan", "p"], before: "see", after: "for the key that the flag comes from" };
    const status = await llmctl(["status", "p", "--json"], { home });
    expect(JSON.parse(status.stdout)).toMatchObject({ lastExit: { kind: "bad-flag", fix } });
    const ps = await llmctl(["ps", "--json"], { home });
    expect(JSON.parse(ps.stdout)).toMatchObject([{ lastExit: { fix } }]);
    expect((await llmctl(["status", "p"], { home })).stdout).toMatch(
      /^fix +see "llmctl plan p" for the key that the flag comes from$/m,
    );
  });
});
