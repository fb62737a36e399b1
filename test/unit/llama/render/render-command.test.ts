import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { Fix } from "../../../../src/base/fix.ts";
import { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import { commandLine, renderCli, type Rendering, renderServer } from "../../../../src/llama/render/render-command.ts";
import type { Values } from "../../../support/any-profile.ts";
import { makeProfile, oldHelp, readCatalogue, readCliCatalogue, serverBuilds } from "../../../support/llama-help.ts";

const catalogues = Object.fromEntries(serverBuilds.map((build) => [build, readCatalogue(build)])) as Record<
  (typeof serverBuilds)[number],
  FlagCatalogue
>;
const old = new FlagCatalogue("old", parseHelp(oldHelp));
const models = { target: "/m/target.gguf", draft: "/m/draft.gguf" };

function render(
  values: Values,
  catalogue: FlagCatalogue,
  files: { draft?: string; draftingOff?: string } = { draft: models.draft },
): Rendering {
  return renderServer(makeProfile(values), { target: models.target, ...files }, catalogue);
}

/** The part of the command line that these values add to a profile with a model only. */
function added(values: Values, catalogue: FlagCatalogue): string {
  const base = new Set(["model", "server.host", "server.port"]);
  return render(values, catalogue)
    .flags.filter(({ key }) => !base.has(key))
    .flatMap(({ args }) => args)
    .join(" ");
}

function problemsOf(action: () => unknown): readonly { message: string; at?: string; fix?: Fix }[] {
  try {
    action();
  } catch (error) {
    if (error instanceof LlmctlError && error.code === "profile-unrenderable" && error.exit === "config")
      return error.problems;
    throw error;
  }
  throw new Error("nothing was refused");
}

const glm47 = {
  alias: "unsloth/GLM-4.7",
  threads: -1,
  fit: true,
  priority: "realtime",
  sampling: { temp: 1, top_p: 0.95 },
  ctx_size: 16384,
  server: { port: 8001 },
  jinja: true,
};
const glm47Spec = {
  ...glm47,
  devices: ["CUDA0"],
  draft: { model: "/m/draft.gguf", devices: ["CUDA0", "CUDA1"], ctx_size: 16384 },
};
const sampling = "--temp 1.0 --top-p 0.95";
const start = "--model /m/target.gguf --alias unsloth/GLM-4.7";

describe("GLM-4.7 with the command of its guide", () => {
  test.each(serverBuilds)("without a draft on %s", (build) => {
    expect(commandLine(render(glm47, catalogues[build])).join(" ")).toBe(
      `${start} --threads -1 --fit on --prio 3 ${sampling} --ctx-size 16384 --host 127.0.0.1 --port 8001 --jinja`,
    );
  });

  const newer =
    `${start} --spec-draft-model /m/draft.gguf --spec-type draft-simple --threads -1 --fit on --prio 3 ` +
    `${sampling} --ctx-size 16384 ` +
    "--host 127.0.0.1 --port 8001 --jinja --device CUDA0 --spec-draft-device CUDA0,CUDA1 --spec-draft-n-max 16 " +
    "--spec-draft-p-min 0.75";
  const older =
    `${start} --model-draft /m/draft.gguf --threads -1 --fit on --prio 3 ${sampling} --ctx-size 16384 ` +
    `--ctx-size-draft 16384 ` +
    "--host 127.0.0.1 --port 8001 --jinja --device CUDA0 --device-draft CUDA0,CUDA1";

  test.each([
    ["b7698", older],
    ["b8390", older],
    ["b10068", newer],
    ["v0.5.0", newer],
  ] as const)("with a draft on %s", (build, expected) => {
    expect(commandLine(render(glm47Spec, catalogues[build])).join(" ")).toBe(expected);
  });

  test("has notes for the unneeded keys", () => {
    expect(render(glm47Spec, catalogues["b7698"]).notes.map(({ key }) => key)).toEqual(["draft.type"]);
    expect(render(glm47Spec, catalogues["v0.5.0"]).notes).toEqual([
      { key: "draft.ctx_size", reason: "not needed on this build: the draft shares the target's context" },
    ]);
  });

  test.each(serverBuilds)(
    "no key of the draft is passed on %s when drafting is off, nor the target's devices",
    (build) => {
      const off = { draftingOff: "the vocabularies differ" };
      const notes = [{ key: "draft.model", reason: "drafting is off: the vocabularies differ" }];
      const { draft: _, ...target } = glm47Spec;
      const { flags } = render(target, catalogues[build]);
      const inherited = { ...target, draft: { model: "/m/draft.gguf" } };
      for (const values of [glm47Spec, inherited, { ...target, draft: { type: "draft-mtp" } }])
        expect(render(values, catalogues[build], off)).toEqual({ flags, notes });
    },
  );

  test("a draft without its file is a fault of llmctl", () => {
    expect(() => render(glm47Spec, catalogues["v0.5.0"], {})).toThrow(
      "a profile with draft.model is rendered without the draft's file",
    );
  });
});

describe("for llama-cli", () => {
  const cli = (values: Values, build: "b7698" | "v0.5.0") =>
    renderCli(makeProfile(values), models, readCliCatalogue(build));

  test("GLM-4.7 with a draft has the command of its guide", () => {
    expect(commandLine(cli(glm47Spec, "b7698")).join(" ")).toBe(
      `--model /m/target.gguf --model-draft /m/draft.gguf --threads -1 --fit on --prio 3 ${sampling} --ctx-size ` +
        `16384 ` +
        "--ctx-size-draft 16384 --jinja --device CUDA0 --device-draft CUDA0,CUDA1",
    );
    expect(commandLine(cli(glm47Spec, "v0.5.0")).join(" ")).toBe(
      `--model /m/target.gguf --spec-draft-model /m/draft.gguf --spec-type draft-simple --threads -1 --fit on ` +
        `--prio 3 ${sampling} ` +
        "--ctx-size 16384 --jinja --device CUDA0 --spec-draft-device CUDA0,CUDA1 --spec-draft-n-max 16 " +
        "--spec-draft-p-min 0.75",
    );
  });

  test("keys for clients are left out with a note", () => {
    const { flags, notes } = cli(
      { alias: "a", server: { metrics: true }, args: ["--cache-reuse", "256", "-ub", "64"] },
      "v0.5.0",
    );
    expect(flags.flatMap(({ args }) => args)).toEqual(["--model", "/m/target.gguf", "-ub", "64"]);
    expect(notes.map(({ key }) => key)).toEqual(["alias", "server.host", "server.port", "server.metrics", "args[0]"]);
  });

  test("a removed raw flag, or one that has a key, is an error there, too", () => {
    const problems = problemsOf(() => cli({ args: ["--draft-max", "4", "--spec-replace"] }, "v0.5.0"));
    expect(problems.map(({ at }) => at)).toEqual(["p.yaml:args.0"]);
  });
});

test("a build whose help lists no drafting types is passed all of them, and refuses what it does not know", () => {
  const catalogue = new FlagCatalogue(
    "new",
    parseHelp(`${oldHelp}--spec-type TYPES                       any of them\n`),
  );
  const types = (draft: Values) => render({ draft }, catalogue).flags.find(({ key }) => key === "draft.type")?.args;
  expect(types({ type: "ngram-mod,draft-new", model: "/m/d.gguf" })).toEqual(["--spec-type", "ngram-mod,draft-new"]);
  expect(types({ model: "/m/d.gguf" })).toEqual(["--spec-type", "draft-simple"]);
});

test.each([
  ["--draft-p-min", "(default: 0.8)", 0.75, true],
  ["--draft-p-min", "(default: 0.8)", 0.8, false],
  ["--draft-p-min", "(default: 0.75)", 0.75, true],
  ["--draft-p-min", "(default: 0.5)", 0.75, false],
  ["--draft-p-min", "(default: 0.5)", 0.5, true],
  ["--draft-p-min", "without a default", 0.75, false],
  ["--spec-draft-p-min", "(default: 0.8)", 0.75, false],
  ["--spec-draft-p-min", "(default: 0.8)", 0.8, true],
])("%s %s: only old texts round, here for %s", (name, text, value, isDefault) => {
  const catalogue = new FlagCatalogue("odd", parseHelp(`${oldHelp}${`${name} P`.padEnd(40)}probability ${text}\n`));
  const { flags } = render({ draft: { model: "/m/d.gguf", p_min: value } }, catalogue);
  expect(flags.some(({ key }) => key === "draft.p_min")).toBe(!isDefault);
});

test("model, host and port are always passed", () => {
  expect(commandLine(render({}, catalogues["v0.5.0"]))).toEqual([
    "--model",
    "/m/target.gguf",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
  ]);
});

test("a flag of the profile and a raw one carry the key that they came from", () => {
  const { flags } = render(
    { draft: { model: "/m/draft.gguf", n_max: 8 }, args: ["--cache-reuse", "256"] },
    catalogues["v0.5.0"],
  );
  expect(flags).toContainEqual({ key: "draft.n_max", path: ["draft", "n_max"], args: ["--spec-draft-n-max", "8"] });
  expect(flags.at(-1)).toEqual({ key: "args[0]", path: ["args", 0], args: ["--cache-reuse", "256"] });
});

describe("builds of early 2025", () => {
  test("adapters are passed one at a time, each with its scale", () => {
    const flags =
      `--lora FNAME                            path to LoRA adapter (can be repeated to use multiple adapters)\n` +
      `--lora-scaled FNAME SCALE               path to LoRA adapter with user defined scaling\n`;
    const catalogue = new FlagCatalogue("old", parseHelp(oldHelp + flags));
    expect(added({ lora: ["/a,b.gguf", "/c.gguf"] }, catalogue)).toBe("--lora /a,b.gguf --lora /c.gguf");
    expect(added({ lora: ["/a:b.gguf", { path: "/b.gguf", scale: 2 }] }, catalogue)).toBe(
      "--lora-scaled /a:b.gguf 1.0 --lora-scaled /b.gguf 2.0",
    );
  });

  test("unsupported keys are refused, all at once, each at its place", () => {
    const values = { alias: "x", priority: "low", sampling: { temp: 1 }, draft: { type: "ngram-mod" }, parallel: 2 };
    const problems = problemsOf(() => render(values, old));
    const lacking = (key: string) => ({
      message: `llama.cpp old has no flag for ${key}`,
      at: `p.yaml:${key}`,
      fix: "remove the key, or use a build that has one",
    });
    expect(problems).toEqual([
      lacking("alias"),
      {
        message: 'draft.type "ngram-mod" is not known to llama.cpp old',
        at: "p.yaml:draft.type",
        fix: "it knows draft-simple",
      },
      {
        message: 'llama.cpp old has no priority "low"',
        at: "p.yaml:priority",
        fix: "write normal, or use a newer build",
      },
      lacking("sampling.temp"),
      lacking("parallel"),
    ]);
  });
});

test("the error for a value outside the build's list names the allowed values", () => {
  const text = parseHelp(oldHelp.replace("--mlock        ", "-ctk,  --cache-type-k {f16,q8_0}\n--mlock        "));
  const [problem] = problemsOf(() => render({ cache_type_k: "q4_0" }, new FlagCatalogue("odd", text)));
  expect(problem).toEqual({
    message: 'cache_type_k "q4_0" is not known to llama.cpp odd',
    at: "p.yaml:cache_type_k",
    fix: "it takes f16, q8_0",
  });
});

test("problems of keys and of raw flags are reported at once", () => {
  const problems = problemsOf(() => render({ draft: {}, args: ["--nonsense"] }, catalogues["v0.5.0"]));
  expect(problems.map(({ at }) => at)).toEqual(["p.yaml:draft.type", "p.yaml:args.0"]);
});

test("rpc.workers comes before the devices of the workers", () => {
  const help =
    `${oldHelp}--rpc SERVERS                           comma-separated list of RPC servers\n-dev,  ` +
    `--device <dev1,dev2,..>          devices\n`;
  const line = commandLine(
    render({ devices: ["RPC0"], rpc: { workers: ["h:1", "i:2"] } }, new FlagCatalogue("rpc", parseHelp(help))),
  );
  expect(line.slice(line.indexOf("--rpc"))).toEqual(["--rpc", "h:1,i:2", "--device", "RPC0"]);
});
