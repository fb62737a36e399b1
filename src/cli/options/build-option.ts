import { resolve } from "node:path";
import type { ProfileValues } from "../../profiles/schema/schema.ts";

/** The build that `--build` names: the path of a llama-server, or the name of an installed build. */
export function readBuildOption(build: string | undefined): ProfileValues["llama"] {
  if (build === undefined) return {};
  return build.includes("/") ? { binary: resolve(build) } : { build };
}
