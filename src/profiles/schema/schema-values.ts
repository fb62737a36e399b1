import { z } from "zod";

// A title names the kind of value in error messages: `"health.interval" must be a duration such as …`. The patterns
// accept what base/text/units.ts reads.
export const duration = (standard: string) =>
  z
    .string()
    .regex(/^\d+(\.\d+)? ?(ms|s|m|h|d)$/)
    .meta({ title: "a duration such as 90s, 15m or 1h" })
    .default(standard);
export const size = (standard: string) =>
  z
    .string()
    .regex(/^\d+(\.\d+)? ?(B|[KMGT]i?B)$/)
    .meta({ title: "a size such as 64MiB or 8GiB" })
    .default(standard);
export const count = z.int().min(0);
export const rate = z.number().min(0).max(1);
export const text = z.string().min(1);
export const devices = z.array(text).min(1);

export const gpuLayers = z.union([count, z.enum(["auto", "all"])]);
export const cacheType = z.enum(["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]);
/** llama.cpp splits the list at commas, and each item at its first equals sign. */
export const tensorOverrides = z
  .array(
    z
      .string()
      .regex(/^[^=,]+=[^=,]+$/)
      .meta({ title: "a pattern and a buffer type such as blk.*ffn=CPU" }),
  )
  .min(1);
