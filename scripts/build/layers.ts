import { join } from "node:path";
import type { CodeSplittingGroup } from "rolldown";

interface Layer {
  readonly name: string;
  /** It has what these files of `src` import, and themselves. */
  readonly of: readonly string[];
  /** Leaves out what these files do not import as well. */
  readonly andOf?: readonly string[];
}

/**
 * Each layer is a chunk, without what a layer before it has. Left to itself the bundler would make more than 50 chunks
 * for `plan`, and each file costs time. What one command needs first and another late belongs into the earlier layer: a
 * late file that needs a small part of a layer loads all of it.
 */
const layers: readonly Layer[] = [
  {
    name: "program",
    of: ["cli/process-settings.ts", "cli/program.ts", "cli/screen/guard-output.ts", "cli/screen/report-error.ts"],
  },
  { name: "ps", of: ["cli/look/ps.ts"] },
  { name: "status", of: ["cli/look/status.ts", "cli/run/down.ts", "fleet/foreign-states.ts"] },
  { name: "orphan", of: ["supervisor/state/orphan.ts", "services/unit-files.ts"] },
  { name: "server", of: ["fleet/start/supervise-detached.ts"], andOf: ["cli/look/plan.ts"] },
  { name: "plan", of: ["cli/look/plan.ts"] },
  { name: "supervise", of: ["fleet/start/supervise-detached.ts"] },
  { name: "up", of: ["cli/run/up.ts"] },
];

/** The bundler's groups for the layers, the first layer first. @param src The folder of the sources. */
export function layerGroups(src: string): CodeSplittingGroup[] {
  let layerOf: ReadonlyMap<string, string> | undefined;
  return layers.map(({ name }, index, { length }) => ({
    debugName: name,
    priority: length - index,
    name: (id, context) => {
      layerOf ??= sortIntoLayers(src, (one) => context.getModuleInfo(one)?.importedIds);
      return layerOf.get(id) === name ? name : undefined;
    },
  }));
}

type ImportsOf = (id: string) => readonly string[] | undefined;

function sortIntoLayers(src: string, importsOf: ImportsOf): Map<string, string> {
  const sorted = new Map<string, string>();
  const reach = (files: readonly string[]) =>
    findReached(
      files.map((file) => join(src, file)),
      importsOf,
    );
  for (const { name, of, andOf } of layers) {
    const others = andOf === undefined ? undefined : reach(andOf);
    for (const id of reach(of)) if (!sorted.has(id) && others?.has(id) !== false) sorted.set(id, name);
  }
  return sorted;
}

/** These modules and what they import at their start. */
function findReached(ids: readonly string[], importsOf: ImportsOf): Set<string> {
  const reached = new Set<string>();
  const reach = (id: string): void => {
    if (reached.has(id) || id.startsWith("node:")) return;
    const imports = importsOf(id);
    if (imports === undefined) throw new Error(`${id} is not part of the program`);
    reached.add(id);
    imports.forEach(reach);
  };
  ids.forEach(reach);
  return reached;
}
