import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { dryRun, findRefusedFlags } from "../../../../src/llama/render/dry-run.ts";
import { dryRunAll, type DryRunRequest } from "../../../../src/llama/render/dry-run-batch.ts";
import type { RenderedFlag } from "../../../../src/llama/render/flag-rule.ts";
import { makeProfile } from "../../../support/llama-help.ts";
import { ProfileFolder } from "../../../support/profile-folder.ts";

/** Parses its command line from left to right as llama.cpp does, and refuses the words in `REFUSED`. */
const script = `#!/bin/sh
echo "$*" >>"$LOG"
for word; do
  case " $REFUSED " in *" $word "*) echo "error while handling argument \\"$word\\": \${WHY-stoi}" >&2; exit 1;; esac
done
[ -z "$SAYS" ] || { echo "$SAYS" >&2; exit "\${CODE-1}"; }
`;

class Binary implements AsyncDisposable {
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #folder: ProfileFolder;
  readonly #log: string;

  private constructor(folder: ProfileFolder, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.file = join(folder.cwd, "llama-server");
    this.#log = join(folder.cwd, "log");
    this.env = { ...env, LOG: this.#log };
  }

  static async create(env: Readonly<Record<string, string>> = {}): Promise<Binary> {
    const binary = new Binary(await ProfileFolder.create({ "llama-server": script }), env);
    await chmod(binary.file, 0o755);
    await writeFile(binary.#log, "");
    return binary;
  }

  get options(): { env: Readonly<Record<string, string>>; timeoutMs: number } {
    return { env: this.env, timeoutMs: 60_000 };
  }

  /** The command line of each run. */
  async runs(): Promise<string[]> {
    return (await readFile(this.#log, "utf8")).split("\n").slice(0, -1);
  }

  request(line: string, env = this.env): DryRunRequest {
    return { file: this.file, env, ...origin(...line.split(" ").map((name) => flag(name))) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** `--a` with its value, from the key `a`. */
const flag = (name: string, value = "1"): RenderedFlag => ({
  key: name.slice(2),
  path: ["x", name.slice(2)],
  args: [name, value],
});
const origin = (...flags: RenderedFlag[]) => ({ profile: makeProfile({}), rendering: { flags, notes: [] } });

const plain = (error: unknown) =>
  error instanceof LlmctlError
    ? { code: error.code, message: error.message, exit: error.exit, at: error.at, fix: error.fix }
    : error;
const correct = "correct the value, or remove the key";
const wrongKey = (key: string) => ({
  code: "flag-refused",
  message: `llama.cpp refuses "${key}": --${key}: not a number, or out of range (stoi)`,
  exit: "config",
  at: `p.yaml:x.${key}`,
  fix: correct,
});

test("a binary that accepts its command line was asked to end after it", async () => {
  await using binary = await Binary.create();
  await dryRun(binary.file, ["--a", "1"], binary.options);
  expect(await binary.runs()).toEqual(["--a 1 --version"]);
});

test("a command line without a profile is refused at the binary", async () => {
  await using binary = await Binary.create({ REFUSED: "--a" });
  const error = await dryRun(binary.file, ["--a", "1"], binary.options).catch(plain);
  expect(error).toEqual({
    code: "flag-refused",
    message: "llama.cpp refuses its command line: --a: not a number, or out of range (stoi)",
    exit: "config",
    at: binary.file,
    fix: correct,
  });
});

test("every flag that the binary refuses is found, one run for each, at its key", async () => {
  await using binary = await Binary.create({ REFUSED: "--b --d" });
  const flags = ["--a", "--b", "--c", "--d"].map((name) => flag(name));
  const refused = await findRefusedFlags(binary.file, origin(...flags), binary.options);
  expect(refused.map((one) => [one.flag, plain(one.error)])).toEqual([
    [flags[1], wrongKey("b")],
    [flags[3], wrongKey("d")],
  ]);
  expect(await binary.runs()).toEqual([
    "--a 1 --b 1 --c 1 --d 1 --version",
    "--a 1 --c 1 --d 1 --version",
    "--a 1 --c 1 --version",
  ]);
});

test("a device that is not there may come back: the error says how to see the devices", async () => {
  await using binary = await Binary.create({ REFUSED: "--device", WHY: "invalid device: CUDA7 (of 2)" });
  const [refused] = await findRefusedFlags(binary.file, origin(flag("--device", "CUDA7")), binary.options);
  expect(plain(refused?.error)).toEqual({
    code: "flag-refused",
    message: 'llama.cpp refuses "device": --device: invalid device: CUDA7 (of 2)',
    exit: "unavailable",
    at: "p.yaml:x.device",
    fix: `run "${binary.file} --list-devices" to see the devices of this machine`,
  });
});

test.each([
  ["something is wrong", "something is wrong", correct],
  [
    "using config file: /etc/llama.ini\nstoi",
    "not a number, or out of range (stoi)",
    'look at "/etc/llama.ini", which llama.cpp reads before its command line',
  ],
])("an error that names no flag ends the search: %j", async (says, message, fix) => {
  await using binary = await Binary.create({ SAYS: says });
  const refused = await findRefusedFlags(binary.file, origin(flag("--a")), binary.options);
  expect(refused.map((one) => [one.flag, plain(one.error)])).toEqual([
    [
      undefined,
      {
        code: "flag-refused",
        message: `llama.cpp refuses its command line: ${message}`,
        exit: "config",
        at: binary.file,
        fix,
      },
    ],
  ]);
  expect(await binary.runs()).toHaveLength(1);
});

test.each([
  ["fails with another code", { SAYS: "out of luck", CODE: "3" }],
  ["says nothing", { SAYS: " " }],
])("a binary that %s could not check its command line", async (_, env) => {
  await using binary = await Binary.create(env);
  const error = await findRefusedFlags(binary.file, origin(flag("--a")), binary.options).catch(plain);
  expect(error).toMatchObject({
    code: "binary-failed",
    message: expect.stringContaining(`"${binary.file}" failed to check its command line`),
  });
});

test("flags about workers are not tried: the binary would connect to them", async () => {
  await using binary = await Binary.create({ REFUSED: "--b" });
  const workers = { key: "rpc.workers", path: ["rpc", "workers"], args: ["--rpc", "h:1"] };
  const flags = [workers, flag("--device", "RPC0"), flag("--b")];
  await findRefusedFlags(binary.file, origin(...flags), binary.options);
  const request = { file: binary.file, env: binary.env, ...origin(workers, flag("--c")) };
  await dryRunAll([request, { ...request }]);
  expect(await binary.runs()).toEqual(["--b 1 --version", "--version", "--c 1 --c 1 --version"]);
});

test("many command lines are tried in one run when the binary accepts them", async () => {
  await using binary = await Binary.create();
  const requests = ["--a", "--b --c", "--d"].map((line) => binary.request(line));
  expect([...(await dryRunAll(requests))]).toEqual(requests.map((request) => [request, []]));
  expect(await binary.runs()).toEqual(["--a 1 --b 1 --c 1 --d 1 --version"]);
});

test("when one of them is refused, each is tried alone, and only its own flags are named", async () => {
  await using binary = await Binary.create({ REFUSED: "--b" });
  const requests = ["--a", "--b --c"].map((line) => binary.request(line));
  const results = [...(await dryRunAll(requests))];
  expect(results.map(([request]) => request)).toEqual(requests);
  expect(results.map(([, result]) => (Array.isArray(result) ? result.map((one) => plain(one.error)) : result))).toEqual(
    [[], [wrongKey("b")]],
  );
  const [chain, ...alone] = await binary.runs();
  expect(chain).toBe("--a 1 --b 1 --c 1 --version");
  expect(alone.toSorted()).toEqual(["--a 1 --version", "--b 1 --c 1 --version", "--c 1 --version"]);
});

test("one run tries at most 50 command lines, and only those of one binary and environment", async () => {
  await using binary = await Binary.create();
  const other = { ...binary.env, OTHER: "1" };
  await dryRunAll([
    ...Array.from({ length: 52 }, (_, index) => binary.request(`--a${index}`)),
    binary.request("--x", other),
    binary.request("--y", other),
  ]);
  const sizes = (await binary.runs()).map((line) => line.split("1 --").length);
  expect(sizes.toSorted((a, b) => a - b)).toEqual([3, 3, 51]);
});

test("a binary that does not run is told for its command lines alone", async () => {
  await using good = await Binary.create();
  await using broken = await Binary.create({ SAYS: "out of luck", CODE: "3" });
  const requests = [broken.request("--a"), good.request("--b"), broken.request("--c")];
  const results = [...(await dryRunAll(requests)).values()];
  expect(results.map((result) => (result instanceof LlmctlError ? result.code : result))).toEqual([
    "binary-failed",
    [],
    "binary-failed",
  ]);
});

test("no command line needs no run", async () => {
  expect([...(await dryRunAll([]))]).toEqual([]);
});
