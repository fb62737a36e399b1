import type { ProfileValues } from "../profiles/schema.ts";
import { renderGpuLayers } from "./render-gpu-layers.ts";
import { formatFloat, impossible, leftOut, noFlag, type Outcome, passed, passValue, type Rule, type Source } from "./render-rule.ts";

type Draft = NonNullable<ProfileValues["draft"]>;

/** Makes the rule silent where the profile does not draft, or drafting is off. */
function draftRule(rule: Omit<Rule, "render"> & { readonly render: (draft: Draft, source: Source) => Outcome | undefined }): Rule {
  return {
    ...rule,
    render: (source) => {
      const { draft } = source.values;
      return draft === undefined || source.models.draftingOff !== undefined ? undefined : rule.render(draft, source);
    },
  };
}

/** A key that is about the draft model, and so means nothing to types that draft without one. */
function draftModelRule<T>(
  key: string,
  flags: readonly string[],
  read: (draft: Draft) => T | undefined,
  render: (value: T, source: Source) => Outcome,
): Rule {
  return draftRule({
    key,
    flags,
    render: (draft, source) => {
      const value = read(draft);
      if (value === undefined) return undefined;
      return draft.model === undefined ? leftOut(`${draft.type} drafts without a draft model`) : render(value, source);
    },
  });
}

const modelFlags = ["--spec-draft-model", "--model-draft"];
/** Says once that drafting is off. */
export const draftModel: Rule = {
  key: "draft.model",
  flags: modelFlags,
  render({ values, models, catalogue }) {
    if (values.draft === undefined) return undefined;
    if (models.draftingOff !== undefined) return leftOut(`drafting is off: ${models.draftingOff}`);
    if (values.draft.model === undefined) return undefined;
    if (models.draft === undefined) throw new Error("a profile with draft.model is rendered without the draft's file");
    return passValue(catalogue, "draft.model", modelFlags, models.draft);
  },
};

/**
 * The type is always said where the build has a flag for it: without it, builds since April 2026 load the draft model and never use it,
 * or guess a type from the file and abort. Earlier builds draft as soon as they have a draft model, and their `--spec-type`, where there is
 * one, names only what to do besides.
 */
export const draftType: Rule = draftRule({
  key: "draft.type",
  flags: ["--spec-type", "--spec-default"],
  render(draft, { catalogue }) {
    const types = splitTypes(draft);
    const contradiction = findContradiction(draft, types);
    if (contradiction !== undefined) return contradiction;
    const flag = catalogue.findFirst(["--spec-type"]);
    // A build whose list of types cannot be read is told all of them; it will say which it does not know.
    const offered = flag === undefined ? [] : (flag.entry.choices ?? types);
    const toSay = types.filter((type) => type !== "draft-simple" || offered.includes(type));
    const unknown = toSay.filter((type) => !offered.includes(type));
    if (unknown.length > 0) return unknownTypes(unknown, ["draft-simple", ...offered], catalogue.version);
    if (flag === undefined || toSay.length === 0) return leftOut("not needed on this build: it drafts as soon as it has a draft model");
    return passed([flag.name, toSay.join(",")]);
  },
});

function splitTypes(draft: Draft): string[] {
  return draft.type.split(",").map((type) => type.trim());
}

/** A type that drafts with a model; `draft-mtp` has it inside the target. */
function needsModel(type: string): boolean {
  return type.startsWith("draft-") && type !== "draft-mtp";
}

function findContradiction(draft: Draft, types: readonly string[]): Outcome | undefined {
  if (types.includes("none")) return impossible('draft.type "none" drafts nothing', "remove the key draft");
  if (draft.model === undefined && types.some(needsModel)) {
    return impossible(`draft.type "${draft.type}" needs a draft model`, "set draft.model, or another draft.type");
  }
  if (draft.model !== undefined && !types.some((type) => type.startsWith("draft-"))) {
    return impossible(`draft.type "${draft.type}" does not use draft.model`, `write "${draft.type},draft-simple", or remove draft.model`);
  }
  return undefined;
}

function unknownTypes(unknown: readonly string[], offered: readonly string[], version: string): Outcome {
  const known = [...new Set(offered)].filter((type) => type !== "none");
  return impossible(`draft.type "${unknown.join(",")}" is not known to llama.cpp ${version}`, `it knows ${known.join(", ")}`);
}

/** How many tokens are drafted: each family of types has its own flags since April 2026. */
function draftLength(key: "n_max" | "n_min", drafted: readonly string[], ngramMod: string): Rule {
  return draftRule({
    key: `draft.${key}`,
    flags: drafted,
    shared: [ngramMod],
    render(draft, { catalogue }) {
      const value = draft[key];
      if (value === undefined) return undefined;
      const types = splitTypes(draft);
      const name = `draft.${key}`;
      if (types.some((type) => type.startsWith("draft-"))) return passValue(catalogue, name, drafted, String(value));
      const older = drafted.slice(1);
      if (types.includes("ngram-mod")) return passValue(catalogue, name, [ngramMod, ...older], String(value));
      return catalogue.findFirst(older) === undefined
        ? leftOut(`${draft.type} has flags of its own on this build; give them in args`)
        : passValue(catalogue, name, older, String(value));
    },
  });
}

export const draftMax: Rule = draftLength("n_max", ["--spec-draft-n-max", "--draft-max"], "--spec-ngram-mod-n-max");
export const draftMin: Rule = draftLength("n_min", ["--spec-draft-n-min", "--draft-min"], "--spec-ngram-mod-n-min");

const probabilityFlags = ["--spec-draft-p-min", "--draft-p-min"];
export const draftProbability: Rule = draftRule({
  key: "draft.p_min",
  flags: probabilityFlags,
  render(draft, { catalogue }) {
    if (draft.p_min === undefined) return undefined;
    if (!splitTypes(draft).some((type) => type.startsWith("draft-"))) return leftOut(`${draft.type} knows no probabilities`);
    return passValue(catalogue, "draft.p_min", probabilityFlags, formatFloat(draft.p_min));
  },
});

const ctxSizeFlags = ["--ctx-size-draft"];
export const draftCtxSize: Rule = draftModelRule(
  "draft.ctx_size",
  ctxSizeFlags,
  (draft) => draft.ctx_size,
  (size, { catalogue }) =>
    catalogue.findFirst(ctxSizeFlags) === undefined
      ? leftOut("not needed on this build: the draft shares the target's context")
      : passValue(catalogue, "draft.ctx_size", ctxSizeFlags, String(size)),
);

const deviceFlags = ["--spec-draft-device", "--device-draft"];
/** Unset, the draft goes where the target goes, as on v0.5.0; builds before it would spread it over all devices. */
export const draftDevices: Rule = {
  key: "draft.devices",
  flags: deviceFlags,
  render(source) {
    const { draft, devices } = source.values;
    if (draft?.devices !== undefined) return givenDevices.render(source);
    if (draft?.model === undefined || devices === undefined || source.models.draftingOff !== undefined) return undefined;
    const match = source.catalogue.findFirst(deviceFlags);
    return match === undefined ? noFlag(source.catalogue, "draft.devices") : passed([match.name, devices.join(",")], "follows devices");
  },
};
const givenDevices = draftModelRule(
  "draft.devices",
  deviceFlags,
  (draft) => draft.devices,
  (names, { catalogue }) => passValue(catalogue, "draft.devices", deviceFlags, names.join(",")),
);

const gpuLayersFlags = ["--spec-draft-ngl", "--gpu-layers-draft"];
export const draftGpuLayers: Rule = draftModelRule(
  "draft.gpu_layers",
  gpuLayersFlags,
  (draft) => draft.gpu_layers,
  (layers, { catalogue }) => renderGpuLayers(catalogue, "draft.gpu_layers", gpuLayersFlags, layers),
);
