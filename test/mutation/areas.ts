import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Files that are judged together. */
export interface Area {
  readonly name: string;
  /** The share of mutants that the unit tests must notice, in percent. */
  readonly goal: number;
  /** Paths from the root of the project. */
  readonly files: readonly string[];
}

const root = join(import.meta.dirname, "../..");
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => `src/${path}`)
  .toSorted();

/** What decides most for a user: every file counts, with a unit test of its own or not. */
const strict: Readonly<Record<string, RegExp>> = {
  machine: /^src\/supervisor\/(?:machine|transition|restart-policy)\.ts$/,
  "draft-gate": /^src\/llama\/draft\//,
  renderer: /^src\/llama\/render\//,
  editor: /^src\/profiles\/(?:change-profile|yaml\/(?:edit-yaml|edit-plain-value|quote-value|value-argument))\.ts$/,
  planner: /^src\/llama\/plan\//,
};

/** The five areas above, then every room with the rest of its files that have a unit test. */
export function listAreas(): readonly Area[] {
  const areas = Object.entries(strict).map(([name, pattern]) => ({
    name,
    goal: 90,
    files: sources.filter((path) => pattern.test(path)),
  }));
  const taken = new Set(areas.flatMap(({ files }) => files));
  const rest = sources.filter((path) => !taken.has(path) && hasUnitTest(path));
  const rooms = [...new Set(rest.map(roomOf))];
  return [...areas, ...rooms.map((name) => ({ name, goal: 80, files: rest.filter((path) => roomOf(path) === name) }))];
}

function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function hasUnitTest(path: string): boolean {
  return existsSync(join(root, path.replace(/^src\//, "test/unit/").replace(/\.ts$/, ".test.ts")));
}
