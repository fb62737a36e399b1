import type { Launch } from "../../supervisor/launch.ts";
import { commandLine, renderServer } from "../render/render-command.ts";
import type { PreparedCommand } from "./prepare-command.ts";

/**
 * The same server without its draft, for a profile with `on_loss: restart`. Its flags are some of those that the binary
 * has parsed, so it does not parse them again.
 * @returns undefined where none is wanted, or where the server does not draft anyway.
 */
export function planFallback({
  profile,
  build,
  target,
  sidecars,
  draft: { drafting },
}: PreparedCommand): Launch["fallback"] {
  if (build === undefined || !drafting.wanted || profile.values.draft?.on_loss !== "restart") return undefined;
  const models = { target: target.path, sidecars: sidecars.paths, draftingOff: "it costs more than it brings" };
  const args = commandLine(renderServer(profile, models, build.catalogue));
  return { args, files: [...target.files, ...sidecars.files] };
}
