import { resolve } from "node:path";
import type { ProfileValues } from "../../profiles/schema/schema.ts";

/** What `--build` names: a path is that of a llama-server, anything else an installed build. */
export function readBuildOption(build: string | undefined): ProfileValues["llama"] {
  if (build === undefined) return {};
  return build.includes("/") ? { binary: resolve(build) } : { build };
}
