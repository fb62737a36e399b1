import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../src/base/errors.ts";
import { checkLaunch, otherVersion } from "../../../src/supervisor/check-launch.ts";
import { type Launch, launchVersion } from "../../../src/supervisor/launch.ts";
import { makeLaunch } from "../../support/make-launch.ts";

const running = { name: "p", protocol: "llama-server" } as const;
const whole = makeLaunch({
  apiKeyFile: "/keys",
  files: [{ path: "/m.gguf", sizeBytes: 1 }],
  rpcWorkers: ["host:1"],
  proof: { wanted: true, onFailure: "fail" },
  dependsOn: ["q"],
  args: ["--port", "0"],
  costs: { stepMs: [{ contextTokens: 9, ms: 1.5 }], targetMs: [1.5, 2], draftMs: null, reevaluates: true },
  fallback: { args: ["--port", "0"], files: [] },
});

/** The launch as it arrives: parsed JSON. */
function check(value: unknown): Launch {
  return checkLaunch(JSON.parse(JSON.stringify(value)), running, "9.9.9");
}

test("a planned launch passes unchanged", () => {
  expect(check(whole)).toEqual(whole);
  const { apiKeyFile: _, costs: __, fallback: ___, ...without } = whole;
  expect(check(without)).toEqual(without);
  expect(check({ ...whole, fromALaterVersion: 1 })).toMatchObject(whole);
});

describe("is refused", () => {
  const paths = listPaths(whole).filter((path) => path !== "version");

  const nullable = ["costs.targetMs", "costs.draftMs"];
  const optional = ["apiKeyFile", "costs", "fallback"];
  test.each(paths.filter((path) => !optional.includes(path)))("without %s", (path) => {
    expect(() => check(replace(whole, path, undefined))).toThrow(refusalOf(path));
  });

  test.each(paths)("with a value of another type for %s", (path) => {
    for (const wrong of [null, { odd: true }, [[]], -1, "\u0000odd", true]) {
      if (isOfOneKind(wrong, read(whole, path)) || (wrong === null && nullable.includes(path))) continue;
      expect(() => check(replace(whole, path, wrong))).toThrow(refusalOf(path));
    }
  });

  test("with a NUL in a text, since Node's spawn error would quote the text", () => {
    for (const env of [{ A: "s3cret\0" }, { "s3cret\0": "x" }]) {
      expect(() => check({ ...whole, env })).toThrow(refusalOf("env"));
      expect(() => check({ ...whole, env })).not.toThrow("s3cret");
    }
  });

  test("of another version, with the versions of both", () => {
    for (const version of [0, launchVersion - 1, launchVersion + 1, `${launchVersion}`, undefined]) {
      expect(() => check({ ...whole, version })).toThrow(
        /was started by llmctl \d\S+, which cannot take a new configuration from llmctl 9\.9\.9/,
      );
    }
    expect(() => checkLaunch({ ...whole, version: launchVersion + 1 }, running, undefined)).toThrow(
      "from llmctl of an earlier version",
    );
  });

  test("of another profile or another kind of profile", () => {
    expect(() => check({ ...whole, name: "q" })).toThrow('it belongs to "q"');
    expect(() => check({ ...whole, protocol: "rpc-worker" })).toThrow("of another kind");
  });

  test("with an error that says that the running server goes on", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        try {
          check(value);
        } catch (error) {
          return error instanceof LlmctlError && error.exit === "busy" && error.message.includes("it runs on as it is");
        }
        return false;
      }),
    );
  });
});

/** The error that a check ends with. */
function errorOf(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

describe("the error", () => {
  const fix = { before: "restart it with", run: ["down", "p"], andThen: { before: "", run: ["up", "-d", "p"] } };
  const refused = (why: string) => ({
    code: "launch-refused",
    message: `the supervisor of "p" does not take the new configuration: ${why}; it runs on as it is`,
    exit: "busy",
    fix,
  });

  test.each([
    [undefined, "the request has none"],
    [[], "the request has none"],
    [{ ...whole, orphan: "sell" }, 'this version does not know its "orphan"'],
    [{ ...whole, name: "q" }, 'it belongs to "q"'],
    [{ ...whole, protocol: "rpc-worker" }, "the profile is now of another kind"],
  ])("says why, and how to take up the new configuration all the same (%#)", (value, why) => {
    expect(errorOf(() => checkLaunch(value, running, "9.9.9"))).toMatchObject(refused(why));
  });

  test.each([
    ["0.0.1", "llmctl 0.0.1"],
    [undefined, "llmctl of an earlier version"],
  ])("names the versions of both sides, the supervisor's being %s", (version, supervisor) => {
    expect(otherVersion("p", version, "this llmctl")).toMatchObject({
      code: "launch-version",
      message:
        `"p" was started by ${supervisor}, which cannot take a new configuration from this llmctl; ` +
        "it runs on as it is",
      exit: "busy",
      fix,
    });
  });
});

test("only the version is looked at first: a launch of another version may have any shape", () => {
  expect(errorOf(() => checkLaunch({ version: 99 }, running, "9.9.9"))).toMatchObject({ code: "launch-version" });
});

function refusalOf(path: string): RegExp {
  return new RegExp(`this version does not know its "${path.split(".")[0]}"`);
}

/** All keys, `health.intervalMs` too. */
function listPaths(value: object): string[] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner) && key !== "env"
      ? [key, ...Object.keys(inner).map((name) => `${key}.${name}`)]
      : [key],
  );
}

function read(value: object, path: string): unknown {
  return path.split(".").reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], value);
}

function replace(value: object, path: string, wrong: unknown): object {
  const [key = "", ...rest] = path.split(".");
  const inner = (value as Record<string, unknown>)[key];
  return { ...value, [key]: rest.length === 0 ? wrong : replace(inner as object, rest.join("."), wrong) };
}

/** Whether the launch may hold the one value instead of the other. A text counts unless only some words are valid. */
function isOfOneKind(wrong: unknown, right: unknown): boolean {
  const isWord = ["llama-server", "fail", "on-failure", "kill"].includes(String(right));
  return typeof wrong === "string"
    ? typeof right === "string" && !isWord
    : typeof wrong === "boolean" && typeof right === "boolean";
}
