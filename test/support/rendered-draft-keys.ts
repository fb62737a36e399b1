import type { Values } from "./any-profile.ts";
import type { KeyOutcome, RenderedKey } from "./rendered-keys.ts";

const alone = (type: string, more: Values = {}): Values => ({ draft: { type, ...more } });
const beside = (more: Values = {}): Values => ({ draft: { model: "/m/draft.gguf", ...more } });

/** What builds that lack the drafting type say of each key. */
const noType = { old: "(draft.type)" } as const;

const knownTo = {
  b8390: "draft-simple, ngram-cache, ngram-simple, ngram-map-k, ngram-map-k4v, ngram-mod",
  b10068:
    "draft-simple, draft-eagle3, draft-mtp, draft-dflash, ngram-simple, ngram-map-k, ngram-map-k4v, ngram-mod, " +
    "ngram-cache",
  "v0.5.0":
    "draft-simple, draft-eagle3, draft-mtp, draft-dflash, draft-dspark, ngram-simple, ngram-map-k, ngram-map-k4v, " +
    "ngram-mod, ngram-cache",
} as const;

function notKnown(type: string, known: string): string {
  return `refused: draft.type "${type}" is not known to llama.cpp VERSION; it knows ${known}`;
}

/** A type that a build refuses until it has it. */
function typeSince(type: string, since: "b8390" | "b10068" | "v0.5.0" | "never"): KeyOutcome {
  const builds = ["b8390", "b10068", "v0.5.0"] as const;
  const first = since === "never" ? builds.length : builds.indexOf(since);
  return {
    old: notKnown(type, "draft-simple"),
    ...Object.fromEntries(builds.slice(0, first).map((build) => [build, notKnown(type, knownTo[build])])),
    ...(since === "never" ? {} : { [since]: `--spec-type ${type}` }),
  };
}

const oneType = (types: string) =>
  `refused: llama.cpp VERSION takes one drafting type besides draft-simple, not "${types}"; ` +
  "write one of them, or use a newer build";

const noModel = (type: string) =>
  `refused: draft.type "${type}" needs a draft model; set draft.model, or another draft.type`;
const idleModel = (type: string) =>
  `refused: draft.type "${type}" does not use draft.model; write "${type},draft-simple", or remove draft.model`;
const oneDefault = "  # llmctl's default, the same on every build";
const ownFlags = (type: string) => `left out: on this build ${type} has its own flags: give them in args`;

/** A key for how the draft model is loaded and computed. */
function loading(key: string, names: readonly [string, string], value: unknown, shown: string): RenderedKey {
  const [newer, older] = names;
  return {
    names: names.join(" "),
    raw: true,
    becomes: [
      [beside({ [key]: value }), { b7698: `${older}${shown}`, b10068: `${newer}${shown}` }],
      [alone("draft-mtp", { [key]: value }), { ...noType, b10068: "left out: draft-mtp drafts without a draft model" }],
    ],
  };
}

const fixedTypes = ["ngram-simple", "ngram-map-k", "ngram-map-k4v"];

/** Every key under `draft`, by its name in the profile. */
export const renderedDraftKeys: Readonly<Record<string, RenderedKey>> = {
  "draft.model": {
    names: "--spec-draft-model --model-draft",
    becomes: [
      [beside(), { old: "--model-draft /m/draft.gguf", b10068: "--spec-draft-model /m/draft.gguf" }],
      [alone("draft-mtp"), { ...noType, b10068: "" }],
      [{}, { old: "" }],
    ],
  },
  "draft.type": {
    names: "--spec-type --spec-default",
    becomes: [
      [
        beside(),
        {
          old: "left out: not needed on this build: it drafts as soon as it has a draft model",
          b10068: "--spec-type draft-simple",
        },
      ],
      [beside({ type: "draft-mtp" }), typeSince("draft-mtp", "b10068")],
      [beside({ type: "draft-eagle3" }), typeSince("draft-eagle3", "b10068")],
      [beside({ type: "draft-dflash" }), typeSince("draft-dflash", "b10068")],
      [beside({ type: "draft-dspark" }), typeSince("draft-dspark", "v0.5.0")],
      [beside({ type: "draft-unheard-of" }), typeSince("draft-unheard-of", "never")],
      ...["draft-mtp"].map((type) => [alone(type), typeSince(type, "b10068")] as const),
      ...[...fixedTypes, "ngram-mod", "ngram-cache"].map((type) => [alone(type), typeSince(type, "b8390")] as const),
      [alone("ngram-unheard-of"), typeSince("ngram-unheard-of", "never")],
      // Builds that draft as soon as they have a draft model are told only the other type.
      [
        beside({ type: "ngram-mod, draft-simple" }),
        {
          old: notKnown("ngram-mod", "draft-simple"),
          b8390: "--spec-type ngram-mod",
          b10068: "--spec-type ngram-mod,draft-simple",
        },
      ],
      [
        beside({ type: "draft-mtp,draft-unheard-of,draft-simple" }),
        {
          old: notKnown("draft-mtp,draft-unheard-of", "draft-simple"),
          b8390: notKnown("draft-mtp,draft-unheard-of", knownTo.b8390),
          b10068: notKnown("draft-unheard-of", knownTo.b10068),
          "v0.5.0": notKnown("draft-unheard-of", knownTo["v0.5.0"]),
        },
      ],
      [
        alone("ngram-mod,ngram-cache"),
        {
          old: notKnown("ngram-mod,ngram-cache", "draft-simple"),
          b8390: oneType("ngram-mod,ngram-cache"),
          b10068: "--spec-type ngram-mod,ngram-cache",
        },
      ],
      [alone("none"), { old: 'refused: draft.type "none" drafts nothing; remove the key draft' }],
      [
        beside({ type: "draft-simple,none" }),
        { old: 'refused: draft.type "none" drafts nothing; remove the key draft' },
      ],
      ...["draft-simple", "draft-eagle3", "ngram-mod,draft-simple"].map(
        (type) => [alone(type), { old: noModel(type) }] as const,
      ),
      ...["ngram-mod", "ngram-mod,ngram-cache"].map((type) => [beside({ type }), { old: idleModel(type) }] as const),
    ],
  },
  "draft.ctx_size": {
    names: "--ctx-size-draft",
    becomes: [
      [
        beside({ ctx_size: 2048 }),
        {
          old: "left out: not needed on this build: the draft shares the target's context",
          b7698: "--ctx-size-draft 2048",
          b10068: "left out: not needed on this build: the draft shares the target's context",
        },
      ],
      [
        alone("draft-mtp", { ctx_size: 2048 }),
        { ...noType, b10068: "left out: draft-mtp drafts without a draft model" },
      ],
    ],
  },
  "draft.devices": {
    names: "--spec-draft-device --device-draft",
    becomes: [
      [
        { devices: ["CUDA0"], ...beside({ devices: ["CUDA1", "CUDA2"] }) },
        {
          old: "refused: llama.cpp VERSION has no flag for draft.devices; remove the key, or use a build that has one",
          b7698: "--device-draft CUDA1,CUDA2",
          b10068: "--spec-draft-device CUDA1,CUDA2",
        },
      ],
      [
        { devices: ["CUDA0", "CUDA1"], ...beside() },
        {
          old: "refused: llama.cpp VERSION has no flag for draft.devices; remove the key, or use a build that has one",
          b7698: "--device-draft CUDA0,CUDA1  # the same as devices",
          b10068: "--spec-draft-device CUDA0,CUDA1  # the same as devices",
        },
      ],
      [beside(), { old: "" }],
      [
        alone("draft-mtp", { devices: ["CUDA0"] }),
        { ...noType, b10068: "left out: draft-mtp drafts without a draft model" },
      ],
      [
        { devices: ["CUDA0"], ...alone("draft-mtp") },
        { ...noType, b10068: "" },
      ],
      [{ devices: ["CUDA0"] }, { old: "(devices)", b7698: "" }],
    ],
  },
  "draft.gpu_layers": {
    names: "--spec-draft-ngl --gpu-layers-draft",
    becomes: [20, "all", "auto"].map(
      (layers) =>
        [
          beside({ gpu_layers: layers }),
          { b7698: `--gpu-layers-draft ${layers}`, b10068: `--spec-draft-ngl ${layers}` },
        ] as const,
    ),
  },
  "draft.n_max": {
    names: "--spec-draft-n-max --draft-max",
    becomes: [
      [beside({ n_max: 8 }), { old: "--draft-max 8", b10068: "--spec-draft-n-max 8" }],
      [beside(), { old: "", b10068: `--spec-draft-n-max 16${oneDefault}` }],
      [beside({ n_max: 16 }), { old: "left out: 16 is this build's default", b10068: "--spec-draft-n-max 16" }],
      [beside({ n_max: 3 }), { old: "--draft-max 3", b10068: "left out: 3 is this build's default" }],
      [beside({ type: "draft-mtp" }), { ...noType, b10068: "" }],
      [alone("draft-mtp", { n_max: 8 }), { ...noType, b10068: "--spec-draft-n-max 8" }],
      [
        beside({ type: "ngram-mod,draft-simple", n_max: 8 }),
        { ...noType, b8390: "--draft-max 8", b10068: "--spec-draft-n-max 8" },
      ],
      [
        beside({ type: "ngram-mod,draft-simple" }),
        { ...noType, b8390: "", b10068: `--spec-draft-n-max 16${oneDefault}` },
      ],
      ...fixedTypes.map(
        (type) =>
          [
            alone(type, { n_max: 8 }),
            { ...noType, b8390: "--spec-ngram-size-m 8", b10068: `--spec-${type}-size-m 8` },
          ] as const,
      ),
      [alone("ngram-mod,ngram-map-k,ngram-simple", { n_max: 8 }), { ...noType, b10068: "--spec-ngram-map-k-size-m 8" }],
      [alone("ngram-mod", { n_max: 8 }), { ...noType, b8390: "--draft-max 8", b10068: "--spec-ngram-mod-n-max 8" }],
      [alone("ngram-cache", { n_max: 8 }), { ...noType, b8390: "--draft-max 8", b10068: ownFlags("ngram-cache") }],
      [alone("ngram-cache,ngram-mod", { n_max: 8 }), { ...noType, b10068: "--spec-ngram-mod-n-max 8" }],
      ...[...fixedTypes, "ngram-mod", "ngram-cache"].map((type) => [alone(type), { ...noType, b8390: "" }] as const),
    ],
  },
  "draft.n_min": {
    names: "--spec-draft-n-min --draft-min",
    becomes: [
      [beside({ n_min: 8 }), { b7698: "--draft-min 8", b10068: "--spec-draft-n-min 8" }],
      [beside(), { old: "" }],
      [beside({ n_min: 0 }), "left out: 0 is this build's default"],
      [alone("draft-mtp", { n_min: 8 }), { ...noType, b10068: "--spec-draft-n-min 8" }],
      [alone("ngram-mod", { n_min: 8 }), { ...noType, b8390: "--draft-min 8", b10068: "--spec-ngram-mod-n-min 8" }],
      ...[...fixedTypes, "ngram-cache"].map(
        (type) => [alone(type, { n_min: 8 }), { ...noType, b8390: "--draft-min 8", b10068: ownFlags(type) }] as const,
      ),
      [alone("ngram-mod"), { ...noType, b8390: "" }],
      [alone("ngram-simple"), { ...noType, b8390: "" }],
    ],
  },
  "draft.p_min": {
    names: "--spec-draft-p-min --draft-p-min",
    becomes: [
      [beside({ p_min: 0.5 }), { b7698: "--draft-p-min 0.5", b10068: "--spec-draft-p-min 0.5" }],
      [beside(), { old: "", b10068: `--spec-draft-p-min 0.75${oneDefault}` }],
      [beside({ p_min: 0.75 }), { b7698: "left out: 0.75 is this build's default", b10068: "--spec-draft-p-min 0.75" }],
      // The help of older builds rounds their default of 0.75.
      [beside({ p_min: 0.8 }), { b7698: "--draft-p-min 0.8", b10068: "--spec-draft-p-min 0.8" }],
      [beside({ p_min: 0 }), { b7698: "--draft-p-min 0.0", b10068: "left out: 0 is this build's default" }],
      [beside({ p_min: 1 }), { b7698: "--draft-p-min 1.0", b10068: "--spec-draft-p-min 1.0" }],
      [beside({ type: "draft-mtp" }), { ...noType, b10068: "" }],
      [alone("draft-mtp", { p_min: 0.5 }), { ...noType, b10068: "--spec-draft-p-min 0.5" }],
      [
        beside({ type: "ngram-mod,draft-simple", p_min: 0.5 }),
        { ...noType, b8390: "--draft-p-min 0.5", b10068: "--spec-draft-p-min 0.5" },
      ],
      [alone("ngram-mod", { p_min: 0.5 }), { ...noType, b8390: "left out: ngram-mod computes no probabilities" }],
      [alone("ngram-mod"), { ...noType, b8390: "" }],
    ],
  },
  "draft.ngram_size": {
    names: "",
    becomes: [
      ...fixedTypes.map(
        (type) =>
          [
            alone(type, { ngram_size: 12 }),
            { ...noType, b8390: "--spec-ngram-size-n 12", b10068: `--spec-${type}-size-n 12` },
          ] as const,
      ),
      [
        alone("ngram-mod", { ngram_size: 12 }),
        { ...noType, b8390: "--spec-ngram-size-n 12", b10068: "--spec-ngram-mod-n-match 12" },
      ],
      [
        beside({ type: "draft-simple,ngram-mod", ngram_size: 12 }),
        { ...noType, b8390: "--spec-ngram-size-n 12", b10068: "--spec-ngram-mod-n-match 12" },
      ],
      [alone("ngram-map-k,ngram-mod", { ngram_size: 12 }), { ...noType, b10068: "--spec-ngram-map-k-size-n 12" }],
      [alone("ngram-cache", { ngram_size: 12 }), { ...noType, b8390: "left out: ngram-cache has no n-gram size" }],
      [alone("draft-mtp", { ngram_size: 12 }), { ...noType, b10068: "left out: draft-mtp has no n-gram size" }],
      [alone("ngram-mod"), { ...noType, b8390: "" }],
    ],
  },
  "draft.threads": loading("threads", ["--spec-draft-threads", "--threads-draft"], 8, " 8"),
  "draft.cache_type_k": loading("cache_type_k", ["--spec-draft-type-k", "--cache-type-k-draft"], "q8_0", " q8_0"),
  "draft.cache_type_v": loading("cache_type_v", ["--spec-draft-type-v", "--cache-type-v-draft"], "q4_0", " q4_0"),
  "draft.cpu_moe": {
    ...loading("cpu_moe", ["--spec-draft-cpu-moe", "--cpu-moe-draft"], true, ""),
    becomes: [
      ...loading("cpu_moe", ["--spec-draft-cpu-moe", "--cpu-moe-draft"], true, "").becomes,
      [beside({ cpu_moe: false }), { old: "left out: off is llama.cpp's default" }],
    ],
  },
  "draft.n_cpu_moe": loading("n_cpu_moe", ["--spec-draft-n-cpu-moe", "--n-cpu-moe-draft"], 20, " 20"),
  "draft.override_tensor": loading(
    "override_tensor",
    ["--spec-draft-override-tensor", "--override-tensor-draft"],
    ["exps=CPU", "blk.1=CUDA1"],
    " exps=CPU,blk.1=CUDA1",
  ),
};
