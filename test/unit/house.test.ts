import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, normalize, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { checkout } from "../support/checkout.ts";

// The rules of CONTRIBUTING about the layout of the code. A failure names the place to edit and the text to write.

const sources = listFiles("src").filter((path) => path.endsWith(".ts"));
const rooms = listFolders("src");
/** A room with more files than this needs a table of them. */
const mostWithoutTable = 10;
const mostInFolder = 20;
const widest = 120;

describe("tables", () => {
  const large = rooms.filter((room) => inFolder(room).length > mostWithoutTable);

  test.each(large)('the "Who owns what" tables of %s name each of its files once', (room) => {
    const named = tableRows(room);
    const missing = inFolder(room)
      .filter((path) => !named.some((row) => row.path === path))
      .map((path) => `${room}/design.md: add the row | \`${relative(room, path)}\` | what it owns |`);
    const wrong = named
      .filter(({ path }) => !sources.includes(path))
      .map(({ table, text }) => `${table}: remove the row of \`${text}\`, or correct its path: there is no such file`);
    const twice = named
      .filter(({ path }, index) => named.findIndex((row) => row.path === path) < index)
      .map(({ table, text }) => `${table}: remove the second row of \`${text}\``);
    expect([...missing, ...wrong, ...twice]).toEqual([]);
  });

  test("a table has a row for each file, with headings of folders between its parts", () => {
    const rows = parseTable(
      "## Who owns what\n\n| file | owns |\n| - | - |\n| `a.ts` | A |\n\n### b/\n\n| file   | owns |\n| - | " +
        "- |\n| `b/c.ts` | `d.ts` |\n",
    );
    expect(rows).toEqual(["a.ts", "b/c.ts"]);
  });
});

describe("folders", () => {
  const folders = new Map<string, string[]>();
  for (const path of sources) folders.set(dirname(path), [...(folders.get(dirname(path)) ?? []), path]);

  test(`no folder has more than ${mostInFolder} files`, () => {
    const full = [...folders].filter(([, files]) => files.length > mostInFolder);
    expect(full.map(([folder, files]) => `${folder}: split it, it has ${files.length} files`)).toEqual([]);
  });

  test("no folder inside a room has a single file", () => {
    const lonely = [...folders].filter(([folder, files]) => files.length === 1 && folder.split("/").length > 2);
    expect(lonely.map(([folder, [file = ""]]) => `${folder}: move ${basename(file)} to a folder with others`)).toEqual(
      [],
    );
  });
});

describe("names", () => {
  test("no two files have the same name", () => {
    expect(findTwice(sources.map((path) => ({ name: basename(path), path })))).toEqual([]);
  });

  test("the name of an exported type, interface or class stands for one thing", () => {
    const declared = sources.flatMap((path) =>
      [...read(path).matchAll(/^(export )?(?:declare )?(?:abstract )?(?:type|interface|class|enum) (\w+)/gm)].map(
        ([, exported, name = ""]) => ({ name, path, isExported: exported !== undefined }),
      ),
    );
    const exported = new Set(declared.filter(({ isExported }) => isExported).map(({ name }) => name));
    expect(findTwice(declared.filter(({ name }) => exported.has(name)))).toEqual([]);
  });
});

test("no import leads back to its own file, imports of types included", () => {
  const graph = new Map(sources.map((path) => [path, importsOf(path)]));
  expect(findCycles(graph).map((cycle) => cycle.join(" -> "))).toEqual([]);
});

test("only src/cli/screen writes to the streams of the process", () => {
  const writers = sources.filter((path) => /\bstd(?:out|err)\.write\(|\bconsole\./.test(read(path)));
  expect(writers.filter((path) => !path.startsWith("src/cli/screen/"))).toEqual([]);
});

test(`no line is wider than ${widest} characters`, () => {
  const files = [...listFiles("src"), ...listFiles("test"), ...listFiles("scripts")].filter(
    (path) => /\.(?:ts|mjs)$/.test(path) && !path.startsWith("test/fixtures/"),
  );
  const wide = files.flatMap((path) =>
    read(path)
      .split("\n")
      .map((line, index) => ({ at: `${path}:${index + 1}`, width: Array.from(line).length }))
      .filter(({ width }) => width > widest)
      .map(({ at, width }) => `${at}: split the line, it has ${width} characters`),
  );
  expect(wide).toEqual([]);
});

describe("recipes of CONTRIBUTING.md", () => {
  const guide = read("CONTRIBUTING.md");
  const [, ...recipes] = section(guide, "Where do I change what").split(/^### /m);

  test("there is a recipe for each typical change", () => {
    expect(recipes.length).toBeGreaterThanOrEqual(8);
  });

  test("every path that the guide names exists", () => {
    const paths = [...guide.matchAll(/`((?:src|test|schema|scripts|docs|profiles|contrib)\/[^`\s:]*)`/g)];
    const gone = paths.map(([, path = ""]) => path).filter((path) => !existsSync(join(checkout, path)));
    expect(gone.map((path) => `CONTRIBUTING.md: correct \`${path}\`, which does not exist`)).toEqual([]);
  });

  test("every name behind a path is in that file", () => {
    const named = [...guide.matchAll(/`([\w/.-]+\.\w+)` \(([^)]*)\)/g)].flatMap(([, path = "", names = ""]) =>
      [...names.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => ({ path, name })),
    );
    const gone = named.filter(({ path, name }) => !existsSync(join(checkout, path)) || !read(path).includes(name));
    expect(gone.map(({ path, name }) => `CONTRIBUTING.md: correct \`${name}\`, which is not in ${path}`)).toEqual([]);
    expect(named.length).toBeGreaterThan(0);
  });

  test.each(recipes.map((text) => [text.split("\n", 1)[0] ?? "", text]))(
    '"%s" has at most three places, and names the test that shows a missing one',
    (_, text) => {
      const places = text.match(/^\d+\. /gm) ?? [];
      expect(places.length).toBeGreaterThanOrEqual(1);
      expect(places.length).toBeLessThanOrEqual(3);
      expect(text).toMatch(/^Shown missing by `test\/[^`]+\.test\.ts`/m);
    },
  );
});

interface Row {
  readonly table: string;
  readonly text: string;
  readonly path: string;
}

/** The files that the tables of a room's design.md files name, those in its folders included. */
function tableRows(room: string): Row[] {
  const tables = listFiles(room).filter((path) => basename(path) === "design.md");
  return tables.flatMap((table) =>
    parseTable(read(table)).map((text) => {
      const [own, inRoom] = [normalize(join(dirname(table), text)), normalize(join(room, text))];
      return { table, text, path: sources.includes(own) ? own : inRoom };
    }),
  );
}

/** The paths in backticks of the first column of all tables whose columns are `file` and `owns`. */
function parseTable(markdown: string): string[] {
  const tables = [...markdown.matchAll(/^\| *file *\| *owns *\|\n((?:\|.*(?:\n|$))*)/gm)].map(([, rows = ""]) => rows);
  const cells = tables.flatMap((rows) => rows.split("\n").map((row) => row.split("|")[1] ?? ""));
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, path = ""]) => path));
}

/** The text below a heading, up to the next one of its level or above. */
function section(markdown: string, title: string): string {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "") === title);
  if (start < 0) return "";
  const level = lines[start]?.indexOf(" ") ?? 1;
  const end = lines.findIndex((line, index) => index > start && /^#+ /.test(line) && line.indexOf(" ") <= level);
  return lines.slice(start + 1, end < 0 ? undefined : end).join("\n");
}

function findTwice(named: readonly { readonly name: string; readonly path: string }[]): string[] {
  const paths = new Map<string, string[]>();
  for (const { name, path } of named) paths.set(name, [...(paths.get(name) ?? []), path]);
  return [...paths]
    .filter(([, all]) => all.length > 1)
    .map(([name, all]) => `rename all but one of "${name}": ${all.join(", ")}`);
}

function importsOf(path: string): string[] {
  return [...read(path).matchAll(/(?:from|import\(|import)\s*"(\.[^"]+\.ts)"/g)].map(([, target = ""]) =>
    normalize(join(dirname(path), target)),
  );
}

/** Each cycle once, from the file where the search found it. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const done = new Set<string>();
  const cycles: string[][] = [];
  const visit = (path: string, chain: readonly string[]): void => {
    const start = chain.indexOf(path);
    if (start >= 0) cycles.push([...chain.slice(start), path]);
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...chain, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return cycles;
}

function inFolder(folder: string): string[] {
  return sources.filter((path) => path.startsWith(`${folder}/`));
}

function listFolders(folder: string): string[] {
  return readdirSync(join(checkout, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${folder}/${entry.name}`);
}

/** Files at any depth, relative to the checkout. */
function listFiles(folder: string): string[] {
  return readdirSync(join(checkout, folder), { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name}`)
    .filter((path) => statSync(join(checkout, path)).isFile())
    .toSorted();
}

function read(path: string): string {
  return readFileSync(join(checkout, path), "utf8");
}
