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

  test("no key of the draft is passed when drafting is off", () => {
    const rendering = render(glm47Spec, catalogues["v0.5.0"], { draftingOff: "the vocabularies differ" });
    expect(commandLine(rendering).join(" ")).not.toMatch(/draft|spec/);
    expect(rendering.notes).toEqual([{ key: "draft.model", reason: "drafting is off: the vocabularies differ" }]);
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

describe("the defaults of a draft model", () => {
  const flagsOf = (draft: Values, build: keyof typeof catalogues) =>
    added({ draft: { model: "/m/draft.gguf", ...draft } }, catalogues[build]).replace(
      /^.*draft\.gguf ?(--spec-type \S+ ?)?/,
      "",
    );

  test.each([
    [{}, "", "--spec-draft-n-max 16 --spec-draft-p-min 0.75"],
    [{ n_max: 16, p_min: 0.75 }, "", "--spec-draft-n-max 16 --spec-draft-p-min 0.75"],
    [{ n_max: 3, p_min: 0 }, "--draft-max 3 --draft-p-min 0.0", ""],
    [{ p_min: 0.8 }, "--draft-p-min 0.8", "--spec-draft-n-max 16 --spec-draft-p-min 0.8"],
  ])("%j is the same before and after the builds changed it", (draft, older, newer) => {
    expect(flagsOf(draft, "b7698")).toBe(older);
    expect(flagsOf(draft, "b8390")).toBe(older);
    expect(flagsOf(draft, "b10068")).toBe(newer);
    expect(flagsOf(draft, "v0.5.0")).toBe(newer);
  });

  test("a written value that is the build's own default is not passed, and the note says why", () => {
    expect(
      render({ draft: { model: "/m/draft.gguf", n_max: 16, p_min: 0.75 } }, catalogues["b7698"]).notes.slice(1),
    ).toEqual([
      { key: "draft.n_max", reason: "16 is this build's default" },
      { key: "draft.p_min", reason: "0.75 is this build's default" },
    ]);
  });

  test("types that no older build had follow the build", () => {
    expect(added({ draft: { type: "draft-mtp" } }, catalogues["v0.5.0"])).toBe("--spec-type draft-mtp");
    expect(added({ draft: { type: "ngram-mod" } }, catalogues["v0.5.0"])).toBe("--spec-type ngram-mod");
  });
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

test("each flag carries the key that it came from", () => {
  const { flags } = render(
    { draft: { model: "/m/draft.gguf", n_max: 8 }, args: ["--cache-reuse", "256"] },
    catalogues["v0.5.0"],
  );
  expect(flags).toContainEqual({ key: "draft.n_max", path: ["draft", "n_max"], args: ["--spec-draft-n-max", "8"] });
  expect(flags.at(-1)).toEqual({ key: "args[0]", path: ["args", 0], args: ["--cache-reuse", "256"] });
});

describe("one key over the builds", () => {
  const draft = (more: Values) => ({ draft: { model: "/m/draft.gguf", ...more } });
  test.each<[string, Values, keyof typeof catalogues, string]>([
    [
      "cache types",
      { cache_type_k: "q8_0", cache_type_v: "q4_0" },
      "v0.5.0",
      "--cache-type-k q8_0 --cache-type-v q4_0",
    ],
    ["flash attention", { flash_attn: "off" }, "b7698", "--flash-attn off"],
    ["no templates", { jinja: false }, "b8390", "--no-jinja"],
    ["fit", { fit: false }, "b7698", "--fit off"],
    ["low priority", { priority: "low" }, "b7698", "--prio -1"],
    ["layers as a word", { gpu_layers: "all" }, "b7698", "--gpu-layers all"],
    ["layers as a number", { gpu_layers: 12 }, "v0.5.0", "--gpu-layers 12"],
    ["slots", { parallel: 1 }, "b10068", "--parallel 1"],
    ["metrics", { server: { metrics: true } }, "b10068", "--metrics"],
    ["key file", { server: { api_key_file: "/etc/k" } }, "b7698", "--api-key-file /etc/k"],
    [
      "sampling",
      { sampling: { temp: 0, top_k: 40, min_p: 0.05, seed: -1 } },
      "b7698",
      "--temp 0.0 --top-k 40 --min-p 0.05 --seed -1",
    ],
    ["locked", { mlock: true }, "b10068", "--mlock"],
    ["locked", { mlock: true }, "v0.5.0", "--load-mode mmap+mlock"],
    ["locked, not mapped", { mlock: true, mmap: false }, "b10068", "--mlock --no-mmap"],
    ["locked, not mapped", { mlock: true, mmap: false }, "v0.5.0", "--load-mode mlock"],
    ["locked and mapped", { mlock: true, mmap: true }, "v0.5.0", "--load-mode mmap+mlock"],
    ["mapped", { mmap: true }, "b7698", "--mmap"],
    ["mapped", { mmap: true, mlock: false }, "v0.5.0", "--load-mode mmap"],
    ["not mapped", { mmap: false }, "v0.5.0", "--load-mode none"],
    ["not locked", { mlock: false }, "v0.5.0", ""],
    [
      "draft lengths",
      draft({ n_max: 8, n_min: 2, p_min: 0.5 }),
      "b8390",
      "--model-draft /m/draft.gguf --draft-max 8 --draft-min 2 --draft-p-min 0.5",
    ],
    [
      "draft lengths",
      draft({ n_max: 8, n_min: 2, p_min: 1 }),
      "b10068",
      "--spec-draft-model /m/draft.gguf --spec-type draft-simple --spec-draft-n-max 8 --spec-draft-n-min 2 " +
        "--spec-draft-p-min 1.0",
    ],
    ["draft layers", draft({ gpu_layers: "all" }), "b7698", "--model-draft /m/draft.gguf --gpu-layers-draft all"],
    [
      "draft follows the target's devices",
      { ...draft({}), devices: ["CUDA1"] },
      "b7698",
      "--model-draft /m/draft.gguf --device CUDA1 --device-draft CUDA1",
    ],
    [
      "n-grams without a model",
      { draft: { type: "ngram-mod", n_max: 32 } },
      "b8390",
      "--spec-type ngram-mod --draft-max 32",
    ],
    [
      "n-grams without a model",
      { draft: { type: "ngram-mod", n_max: 32 } },
      "v0.5.0",
      "--spec-type ngram-mod --spec-ngram-mod-n-max 32",
    ],
    [
      "n-grams beside a model",
      draft({ type: "ngram-mod, draft-simple" }),
      "b8390",
      "--model-draft /m/draft.gguf --spec-type ngram-mod",
    ],
    [
      "n-grams beside a model",
      draft({ type: "ngram-mod,draft-simple" }),
      "v0.5.0",
      "--spec-draft-model /m/draft.gguf --spec-type ngram-mod,draft-simple --spec-draft-n-max 16 " +
        "--spec-draft-p-min 0.75",
    ],
    [
      "the model's own head",
      { draft: { type: "draft-mtp", n_max: 1 } },
      "v0.5.0",
      "--spec-type draft-mtp --spec-draft-n-max 1",
    ],
  ])("%s: %j on %s", (_, values, build, expected) => {
    expect(added(values, catalogues[build])).toBe(expected);
  });
});

describe("builds of early 2025", () => {
  test.each<[Values, string]>([
    [{ flash_attn: "on" }, "--flash-attn"],
    [{ gpu_layers: "all" }, "--gpu-layers 999"],
    [{ gpu_layers: 20 }, "--gpu-layers 20"],
    [{ mlock: true, mmap: false }, "--mlock --no-mmap"],
    [{ jinja: true }, "--jinja"],
    [{ draft: { model: "/m/draft.gguf", n_max: 4 } }, "--model-draft /m/draft.gguf --draft-max 4"],
  ])("%j", (values, expected) => {
    expect(added(values, old)).toBe(expected);
  });

  test("a key that is the build's default or not essential is left out with a reason", () => {
    const values = { flash_attn: "auto", gpu_layers: "auto", fit: false, mmap: true, jinja: false };
    expect(added(values, old)).toBe("");
    expect(
      render(values, old)
        .notes.map(({ key }) => key)
        .sort(),
    ).toEqual(Object.keys(values).sort());
  });

  test("unsupported keys are refused, all at once, each at its place", () => {
    const values = { alias: "x", priority: "low", sampling: { temp: 1 }, draft: { type: "ngram-mod" }, parallel: 2 };
    const problems = problemsOf(() => render(values, old));
    expect(problems.map(({ at }) => at)).toEqual([
      "p.yaml:alias",
      "p.yaml:draft.type",
      "p.yaml:priority",
      "p.yaml:sampling.temp",
      "p.yaml:parallel",
    ]);
    for (const { fix } of problems) expect(fix).toBeTruthy();
  });
});

describe("impossible drafting", () => {
  test.each<[string, Values, keyof typeof catalogues, RegExp, RegExp]>([
    [
      "unknown type",
      { type: "draft-mtp" },
      "b8390",
      /draft\.type "draft-mtp" is not known to llama\.cpp b8390/,
      /it knows draft-simple, ngram-cache/,
    ],
    [
      "unknown type without any flag",
      { type: "ngram-mod" },
      "b7698",
      /"ngram-mod" is not known/,
      /it knows draft-simple$/,
    ],
    ["no model", {}, "b10068", /"draft-simple" needs a draft model/, /set draft\.model/],
    [
      "idle model",
      { type: "ngram-mod", model: "/m/d.gguf" },
      "v0.5.0",
      /does not use draft\.model/,
      /ngram-mod,draft-simple/,
    ],
    ["none", { type: "none" }, "v0.5.0", /drafts nothing/, /remove/],
  ])("%s", (_, draft, build, message, fix) => {
    const [problem, ...more] = problemsOf(() => render({ draft }, catalogues[build]));
    expect(more).toEqual([]);
    expect(problem?.message).toMatch(message);
    expect(problem?.fix).toMatch(fix);
    expect(problem?.at).toBe("p.yaml:draft.type");
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

test("rpc.workers of a build without RPC, and rpc.cache of a server", () => {
  const [problem] = problemsOf(() => render({ rpc: { workers: ["h:1"] } }, catalogues.b7698));
  expect(problem).toMatchObject({
    at: "p.yaml:rpc.workers",
    fix: { run: ["build", "--rpc"], or: "name a build that has it" },
  });
  expect(render({ rpc: { cache: true } }, catalogues.b7698).notes).toContainEqual({
    key: "rpc.cache",
    reason: "only a worker caches weights",
  });
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
