import { isSocketHost } from "../../profiles/rules/host-kinds.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { draftMax, draftMin, draftModel, draftProbability, draftType } from "./draft-flags.ts";
import { draftCtxSize, draftDevices, draftGpuLayers, draftModelRules } from "./draft-model-flags.ts";
import { renderGpuLayers } from "./gpu-layers-flag.ts";
import { ngramSize } from "./ngram-flags.ts";
import { adapterRules } from "./adapter-flags.ts";
import { chatRules } from "./chat-flags.ts";
import { contextRules, placementRules } from "./compute-flags.ts";
import {
  floatRule,
  impossible,
  integerRule,
  leftOut,
  noFlag,
  pairRule,
  passed,
  passValue,
  allowInRawArgs,
  type FlagRule,
  serverOnly,
  valueRule,
} from "./flag-rule.ts";
import { rpcCache, rpcWorkers } from "./rpc-flags.ts";
import { serverRules, reservedServerRules } from "./server-flags.ts";

/** The numbers of llama.cpp's `--prio`. */
const priorities = { low: -1, normal: 0, medium: 1, high: 2, realtime: 3 } as const;

const model: FlagRule = {
  key: "model",
  flags: ["--model"],
  render: ({ models, catalogue }) => passValue(catalogue, "model", ["--model"], models.target),
};

const fit: FlagRule = {
  key: "fit",
  flags: ["--fit"],
  render({ values, catalogue }) {
    if (values.fit === undefined) return undefined;
    if (catalogue.has("--fit")) return passValue(catalogue, "fit", ["--fit"], values.fit ? "on" : "off");
    return leftOut(
      values.fit
        ? "this build cannot fit options to the memory: set gpu_layers and ctx_size"
        : "not needed on this build: it never changes unset options",
    );
  },
};

const priority: FlagRule = {
  key: "priority",
  flags: ["--prio"],
  render({ values, catalogue }) {
    if (values.priority === undefined) return undefined;
    // The first builds with the flag do not accept -1.
    if (values.priority === "low" && !/\blow\b/.test(catalogue.find("--prio")?.entry.help ?? "")) {
      return impossible(`llama.cpp ${catalogue.version} has no priority "low"`, "write normal, or use a newer build");
    }
    return passValue(catalogue, "priority", ["--prio"], String(priorities[values.priority]));
  },
};

/** Until mid-2025 a flag without a value; since then it takes `on`, `off` or `auto`. */
const flashAttention: FlagRule = {
  key: "flash_attn",
  flags: ["--flash-attn"],
  render({ values, catalogue }) {
    const wanted = values.flash_attn;
    const match = catalogue.find("--flash-attn");
    if (wanted === undefined) return undefined;
    if (match === undefined || match.entry.hints.length > 0)
      return passValue(catalogue, "flash_attn", ["--flash-attn"], wanted);
    if (wanted === "on") return passed([match.name]);
    return leftOut(
      wanted === "off" ? "off is this build's default" : "this build has no automatic choice; its default is off",
    );
  },
};

const gpuLayers: FlagRule = {
  key: "gpu_layers",
  flags: ["--gpu-layers"],
  render: ({ values, catalogue }) =>
    values.gpu_layers === undefined
      ? undefined
      : renderGpuLayers(catalogue, "gpu_layers", ["--gpu-layers"], values.gpu_layers),
};

/** Since August 2026 one flag sets both how to load and whether to lock; before, each had its own flag. */
const mlock: FlagRule = {
  key: "mlock",
  flags: ["--mlock"],
  shared: ["--load-mode"],
  render({ values, catalogue }) {
    if (values.mlock === undefined) return undefined;
    if (!values.mlock) return leftOut("off is llama.cpp's default");
    if (!catalogue.has("--load-mode"))
      return catalogue.has("--mlock") ? passed(["--mlock"]) : noFlag(catalogue, "mlock");
    return passValue(catalogue, "mlock", ["--load-mode"], values.mmap === false ? "mlock" : "mmap+mlock");
  },
};

const mmap: FlagRule = {
  key: "mmap",
  flags: ["--mmap", "--no-mmap"],
  shared: ["--load-mode"],
  render({ values, catalogue }) {
    if (values.mmap === undefined) return undefined;
    if (catalogue.has("--load-mode")) {
      if (values.mlock === true) return leftOut("passed together with mlock");
      return passValue(catalogue, "mmap", ["--load-mode"], values.mmap ? "mmap" : "none");
    }
    const match = catalogue.find(values.mmap ? "--mmap" : "--no-mmap");
    if (match !== undefined) return passed([match.name]);
    return values.mmap ? leftOut("on is this build's default") : noFlag(catalogue, "mmap");
  },
};

/** Undefined for a unix socket. */
function renderPort({ server }: ProfileValues): string | undefined {
  if (isSocketHost(server.host)) return undefined;
  return server.port === "auto" ? "0" : String(server.port);
}

/**
 * Every profile key that llama-server gets, in the order of the command line. The order of the first rows is that of the
 * commands in the GLM-4.7 guide.
 */
export const flagTable: readonly FlagRule[] = [
  model,
  serverOnly(valueRule("alias", ["--alias"], (values) => values.alias)),
  draftModel,
  draftType,
  integerRule("threads", ["--threads"], (values) => values.threads),
  fit,
  priority,
  floatRule("sampling.temp", ["--temp"], (values) => values.sampling.temp),
  floatRule("sampling.top_p", ["--top-p"], (values) => values.sampling.top_p),
  integerRule("sampling.top_k", ["--top-k"], (values) => values.sampling.top_k),
  floatRule("sampling.min_p", ["--min-p"], (values) => values.sampling.min_p),
  integerRule("sampling.seed", ["--seed"], (values) => values.sampling.seed),
  integerRule("ctx_size", ["--ctx-size"], (values) => values.ctx_size),
  draftCtxSize,
  serverOnly(valueRule("server.host", ["--host"], (values) => values.server.host)),
  serverOnly(valueRule("server.port", ["--port"], renderPort)),
  rpcWorkers,
  rpcCache,
  pairRule("jinja", { on: ["--jinja"], off: ["--no-jinja"] }, (values) => values.jinja),
  valueRule("devices", ["--device"], (values) => values.devices?.join(",")),
  draftDevices,
  gpuLayers,
  draftGpuLayers,
  integerRule("parallel", ["--parallel"], (values) => values.parallel),
  flashAttention,
  mlock,
  mmap,
  draftMax,
  draftMin,
  draftProbability,
  ngramSize,
  ...reservedServerRules,
  ...[...draftModelRules, ...placementRules, ...contextRules, ...chatRules, ...adapterRules, ...serverRules].map(
    allowInRawArgs,
  ),
];

/** The rule whose key has the meaning of one of these flags, on this build or another. */
export function findFlagRule(names: readonly string[]): FlagRule | undefined {
  return flagTable.find(({ flags }) => flags.some((flag) => names.includes(flag)));
}
