import { type DraftSettings, draftModelRule } from "./draft-flag-rule.ts";
import { renderGpuLayers } from "./gpu-layers-flag.ts";
import { leftOut, noFlag, passed, passValue, type FlagRule } from "./flag-rule.ts";

const ctxSizeFlags = ["--ctx-size-draft"];
export const draftCtxSize: FlagRule = draftModelRule(
  "draft.ctx_size",
  ctxSizeFlags,
  (draft) => draft.ctx_size,
  (size, { catalogue }) =>
    catalogue.findFirst(ctxSizeFlags) === undefined
      ? leftOut("not needed on this build: the draft shares the target's context")
      : passValue(catalogue, "draft.ctx_size", ctxSizeFlags, String(size)),
);

const deviceFlags = ["--spec-draft-device", "--device-draft"];
/**
 * By default the draft uses the target's devices, as on v0.5.0. Older builds would spread it over all devices, so they
 * get the flag.
 */
export const draftDevices: FlagRule = {
  key: "draft.devices",
  flags: deviceFlags,
  render(source) {
    const { draft, devices } = source.values;
    if (draft?.devices !== undefined) return givenDevices.render(source);
    if (draft?.model === undefined || devices === undefined || source.models.draftingOff !== undefined)
      return undefined;
    const match = source.catalogue.findFirst(deviceFlags);
    return match === undefined
      ? noFlag(source.catalogue, "draft.devices")
      : passed([match.name, devices.join(",")], "the same as devices");
  },
};
const givenDevices = draftModelRule(
  "draft.devices",
  deviceFlags,
  (draft) => draft.devices,
  (names, { catalogue }) => passValue(catalogue, "draft.devices", deviceFlags, names.join(",")),
);

const gpuLayersFlags = ["--spec-draft-ngl", "--gpu-layers-draft"];
export const draftGpuLayers: FlagRule = draftModelRule(
  "draft.gpu_layers",
  gpuLayersFlags,
  (draft) => draft.gpu_layers,
  (layers, { catalogue }) => renderGpuLayers(catalogue, "draft.gpu_layers", gpuLayersFlags, layers),
);

/** A key whose value follows a flag unchanged. */
function draftValue(
  key: string,
  flags: readonly string[],
  read: (draft: DraftSettings) => string | number | undefined,
): FlagRule {
  return draftModelRule(`draft.${key}`, flags, read, (value, { catalogue }) =>
    passValue(catalogue, `draft.${key}`, flags, String(value)),
  );
}

const moeFlags = ["--spec-draft-cpu-moe", "--cpu-moe-draft"];
const cpuMoe = draftModelRule(
  "draft.cpu_moe",
  moeFlags,
  (draft) => draft.cpu_moe,
  (wanted, { catalogue }) => {
    if (!wanted) return leftOut("off is llama.cpp's default");
    const match = catalogue.findFirst(moeFlags);
    return match === undefined ? noFlag(catalogue, "draft.cpu_moe") : passed([match.name]);
  },
);

/** How the draft model is loaded and computed: the keys have the same names as those of the target. */
export const draftModelRules: readonly FlagRule[] = [
  draftValue("threads", ["--spec-draft-threads", "--threads-draft"], (draft) => draft.threads),
  draftValue("cache_type_k", ["--spec-draft-type-k", "--cache-type-k-draft"], (draft) => draft.cache_type_k),
  draftValue("cache_type_v", ["--spec-draft-type-v", "--cache-type-v-draft"], (draft) => draft.cache_type_v),
  cpuMoe,
  draftValue("n_cpu_moe", ["--spec-draft-n-cpu-moe", "--n-cpu-moe-draft"], (draft) => draft.n_cpu_moe),
  draftValue("override_tensor", ["--spec-draft-override-tensor", "--override-tensor-draft"], (draft) =>
    draft.override_tensor?.join(","),
  ),
];
