import { describe, expect, test } from "vitest";
import { LlmctlError, type Problem } from "../../../../src/base/errors.ts";
import { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import type { ModelPaths } from "../../../../src/llama/render/flag-rule.ts";
import { flagTable } from "../../../../src/llama/render/flag-table.ts";
import { checkRawArgs } from "../../../../src/llama/render/raw-args.ts";
import { renderCli, renderServer } from "../../../../src/llama/render/render-command.ts";
import type { Values } from "../../../support/any-profile.ts";
import { makeProfile, oldHelp, readCatalogue, readCliCatalogue, serverBuilds } from "../../../support/llama-help.ts";
import { renderedDraftKeys } from "../../../support/rendered-draft-keys.ts";
import { type KeyOutcome, renderedKeys } from "../../../support/rendered-keys.ts";

const builds = ["old", ...serverBuilds] as const;
const catalogues = Object.fromEntries(
  builds.map((build) => [
    build,
    build === "old" ? new FlagCatalogue("VERSION", parseHelp(oldHelp)) : readCatalogue(build, "VERSION"),
  ]),
) as Record<(typeof builds)[number], FlagCatalogue>;

const files: ModelPaths = {
  target: "/m/target.gguf",
  draft: "/m/draft.gguf",
  sidecars: new Map(["mmproj", "lora.0"].map((key) => [key, `/m/${key}.gguf`])),
};
const keys = { ...renderedKeys, ...renderedDraftKeys };
const rows = Object.entries(keys);

/** What a key becomes, in the words of the table. */
function outcomeOf(
  key: string,
  values: Values,
  catalogue: FlagCatalogue,
  render: typeof renderServer | typeof renderCli = renderServer,
): string {
  try {
    const { flags, notes } = render(makeProfile(values), files, catalogue);
    const flag = flags.find((one) => one.key === key);
    if (flag !== undefined) return `${flag.args.join(" ")}${flag.note === undefined ? "" : `  # ${flag.note}`}`;
    const left = notes.find((one) => one.key === key);
    return left === undefined ? "" : `left out: ${left.reason}`;
  } catch (error) {
    if (!(error instanceof LlmctlError && error.code === "profile-unrenderable")) throw error;
    const at = `p.yaml:${key}`;
    const elsewhere = error.problems.filter((one) => one.at !== at).map((one) => one.at?.replace("p.yaml:", ""));
    const own = error.problems.find((one) => one.at === at);
    if (elsewhere.includes("draft.type")) return "(draft.type)";
    if (own === undefined) return `(${elsewhere.join(" ")})`;
    return `refused: ${own.message}; ${typeof own.fix === "string" ? own.fix : JSON.stringify(own.fix)}`;
  }
}

/** The outcome on one build of the table, where each text is valid from its build on. */
function expectedOn(build: (typeof builds)[number], key: string, outcome: KeyOutcome): string {
  const since = typeof outcome === "string" ? { b7698: outcome } : outcome;
  const first = builds.slice(0, builds.indexOf(build) + 1).findLast((one) => since[one] !== undefined);
  return first === undefined
    ? `refused: llama.cpp VERSION has no flag for ${key}; remove the key, or use a build that has one`
    : (since[first] ?? "");
}

test("every key that reaches the server has a row, in rendered-keys.ts or rendered-draft-keys.ts", () => {
  expect(Object.keys(keys).toSorted()).toEqual(flagTable.map(({ key }) => key).toSorted());
});

describe("what a key becomes on each build", () => {
  test.each(rows)("%s", (key, { becomes }) => {
    for (const [values, outcome] of becomes) {
      const found = builds.map((build) => [build, outcomeOf(key, values, catalogues[build])]);
      expect([values, found]).toEqual([values, builds.map((build) => [build, expectedOn(build, key, outcome)])]);
    }
  });
});

/** Keys whose flag had no value once, or has several. */
const otherForms = ["flash_attn", "rpc.workers", "lora", "draft.type"];

describe("a build whose flag takes no value", () => {
  test.each(rows.filter(([key]) => !otherForms.includes(key)))("has no flag for %s", (key, { becomes }) => {
    for (const build of ["b7698", "v0.5.0"] as const) {
      const { entries } = catalogues[build];
      for (const [values, outcome] of becomes) {
        const [name = "", value, note] = expectedOn(build, key, outcome).split(" ");
        const isInherited = key === "draft.devices" && note !== undefined;
        if (!name.startsWith("--") || value === undefined || isInherited) continue;
        const switches = entries.map((entry) => (entry.names.includes(name) ? { ...entry, hints: [] } : entry));
        const found = outcomeOf(key, values, new FlagCatalogue("VERSION", switches));
        expect([build, values, found]).toEqual([build, values, expectedOn(build, key, {})]);
      }
    }
  });
});

describe("a build with --model alone", () => {
  const bare = new FlagCatalogue("VERSION", parseHelp(`${"--model FNAME".padEnd(40)}model path\n`));

  test.each<[string, Values]>([
    ["threads", { threads: 8 }],
    ["priority", { priority: "normal" }],
    ["ctx_size", { ctx_size: 1 }],
    ["server.host", {}],
    ["server.port", {}],
    ["jinja", { jinja: true }],
    ["gpu_layers", { gpu_layers: 1 }],
    ["gpu_layers", { gpu_layers: "auto" }],
    ["flash_attn", { flash_attn: "auto" }],
    ["mlock", { mlock: true }],
    ["mmap", { mmap: false }],
    ["kv_offload", { kv_offload: true }],
    ["draft.model", { draft: { model: "/m/d.gguf" } }],
    ["draft.n_max", { draft: { model: "/m/d.gguf", n_max: 8 } }],
  ])("has no flag for %s: %j", (key, values) => {
    expect(outcomeOf(key, values, bare)).toBe(expectedOn("old", key, {}));
  });

  test("has no low priority", () => {
    expect(outcomeOf("priority", { priority: "low" }, bare)).toBe(
      'refused: llama.cpp VERSION has no priority "low"; write normal, or use a newer build',
    );
  });
});

test("the older of two names is passed where it is the only one", () => {
  const only = (name: string, hint = "") => new FlagCatalogue("VERSION", parseHelp(`${oldHelp}${name}${hint}\n`));
  expect(outcomeOf("rerank", { rerank: true }, only("--reranking"))).toBe("--reranking");
  expect(outcomeOf("lora", { lora: ["/a"] }, only("--lora", " FNAME"))).toBe("--lora /a");
});

describe("what a key becomes for llama-cli", () => {
  const programs = { b7698: readCliCatalogue("b7698", "VERSION"), "v0.5.0": readCliCatalogue("v0.5.0", "VERSION") };
  /** Not about clients, and yet without a flag there. */
  const lacking = { b7698: ["draft.threads"], "v0.5.0": [] as string[] };

  test.each(rows)("%s", (key, { becomes, client }) => {
    for (const [values, outcome] of becomes) {
      for (const build of ["b7698", "v0.5.0"] as const) {
        const server = expectedOn(build, key, outcome);
        const expected = lacking[build].includes(key)
          ? [expectedOn(build, key, {}), "(draft.type)"]
          : [client === true && server !== "" ? "left out: llama-cli serves no clients" : server];
        expect(expected, `${build} ${JSON.stringify(values)}`).toContain(
          outcomeOf(key, values, programs[build], renderCli),
        );
      }
    }
  });
});

describe("the flags of a key in args", () => {
  /** A flag of `args` with as many values as the build wants. */
  function withValues(name: string, catalogue: FlagCatalogue): string[] {
    const { hints = [], choices = [] } = catalogue.find(name)?.entry ?? {};
    return [name, ...hints.map(() => choices[0] ?? "1")];
  }

  function check(values: Values, name: string, catalogue: FlagCatalogue): CheckedFlag {
    const profile = makeProfile({ ...values, args: withValues(name, catalogue) });
    const source = { program: "llama-server", values: profile.values, models: files, catalogue } as const;
    const { flags, problems } = checkRawArgs(profile, source);
    return { passed: flags.map(({ args }) => args[0]), problems };
  }

  interface CheckedFlag {
    readonly passed: readonly (string | undefined)[];
    readonly problems: readonly Problem[];
  }

  const covered = (name: string, key: string): CheckedFlag => ({
    passed: [],
    problems: [
      {
        message: `"${name}" has the same meaning as the key ${key}`,
        fix: `set ${key} instead`,
        at: "p.yaml:args.0",
      },
    ],
  });
  const named = rows.filter(([, { names }]) => names !== "");

  test.each(named)("%s: none of them while the profile sets the key", (key, { names, becomes: [[values] = [{}]] }) => {
    for (const name of names.split(" "))
      for (const build of builds)
        expect([build, check(values, name, catalogues[build])]).toEqual([build, covered(name, key)]);
  });

  test.each(named)("%s: otherwise all of them, unless llmctl itself reads the key", (key, { names, raw }) => {
    for (const name of names.split(" ")) {
      for (const build of builds) {
        const known = catalogues[build].has(name);
        const expected = raw === true && known ? { passed: [name], problems: [] } : covered(name, key);
        expect([build, check({}, name, catalogues[build])]).toEqual([build, expected]);
      }
    }
  });

  test.each(rows)("%s: not the flag that it became, whichever key has its name", (key, { becomes }) => {
    for (const [values, outcome] of becomes) {
      for (const build of serverBuilds) {
        const [name = ""] = expectedOn(build, key, outcome).split(" ");
        if (name.startsWith("--"))
          expect([build, check(values, name, catalogues[build])]).toEqual([build, covered(name, key)]);
      }
    }
  });
});
