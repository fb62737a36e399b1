import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { flagTable } from "../../../../src/llama/render/flag-table.ts";
import { renderCli, type Rendering, renderServer } from "../../../../src/llama/render/render-command.ts";
import { anyProfileValues, type Values } from "../../../support/any-profile.ts";
import { makeProfile, readCatalogue, readCliCatalogue, serverBuilds } from "../../../support/llama-help.ts";

const models = {
  target: "/m/target.gguf",
  draft: "/m/draft.gguf",
  sidecars: new Map(["mmproj", "lora.0", "lora.1", "lora.2"].map((key) => [key, `/m/${key}.gguf`])),
};

/** Keys that no profile can have on a build. */
const neverTold: Readonly<Record<(typeof serverBuilds)[number], string[]>> = {
  b7698: ["rpc.workers"],
  b8390: ["rpc.workers"],
  b10068: ["rpc.workers"],
  "v0.5.0": [],
};

const programs = [
  ...serverBuilds.map((build) => ({
    name: `llama-server ${build}`,
    never: neverTold[build],
    render: renderServer,
    catalogue: readCatalogue(build),
  })),
  ...(["b7698", "v0.5.0"] as const).map((build) => ({
    name: `llama-cli ${build}`,
    never: build === "b7698" ? ["rpc.workers", "draft.threads"] : [],
    render: renderCli,
    catalogue: readCliCatalogue(build),
  })),
];

let profiles: readonly Values[] = [];
beforeAll(() => {
  // The same on every run: a failure repeats itself.
  profiles = fc.sample(anyProfileValues(), { numRuns: 100, seed: 20_260_107 });
});

interface Rendered {
  /** The profile without the keys that the build refuses. */
  readonly given: Values;
  readonly rendering: Rendering;
}

/** Removes what the build refuses until it renders the rest; nearly every random profile has such a key. */
function renderRest(whole: Values, { render, catalogue }: (typeof programs)[number]): Rendered {
  for (let given = whole; ;) {
    const refused = findRefused(() => render(makeProfile(given), models, catalogue));
    if (!Array.isArray(refused)) return { given, rendering: refused };
    const less = refused.reduce<Values>((rest, key) => without(rest, key.split(".")), given);
    // A key that the profile does not have must not be what is wrong with it.
    expect(less, `refused for ${refused.join(", ")}`).not.toEqual(given);
    given = less;
  }
}

function findRefused(action: () => Rendering): Rendering | string[] {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof LlmctlError && error.code === "profile-unrenderable")) throw error;
    return error.problems.map(({ at = "" }) => at.replace("p.yaml:", ""));
  }
}

/** A drafting type has a default, so `draft` goes as a whole. */
function without(values: Values, [name = "", ...rest]: readonly string[]): Values {
  const { [name]: value, ...others } = values;
  if (rest.length === 0 || value === undefined || (name === "draft" && rest[0] === "type")) return others;
  return { ...others, [name]: without(value as Values, rest) };
}

/** The errors of a command line according to the build's own help. */
function findFaults({ rendering }: Rendered, catalogue: FlagCatalogue): string[] {
  return rendering.flags.flatMap(({ args: [name = "", ...rest] }) => {
    const entry = catalogue.entries.find(({ names, negations }) => names.includes(name) || negations.includes(name));
    if (entry === undefined || entry.removed !== undefined) return [`${name} is unknown`];
    if (rest.length !== entry.hints.length) return [`${name} has ${rest.length} values`];
    const values = entry.list === true ? rest.join(",").split(",") : rest;
    return entry.choices === undefined || values.every((value) => entry.choices?.includes(value))
      ? []
      : [`${name} does not take ${rest[0]}`];
  });
}

/** Keys that are not for the server, or that are for it only with another value. */
const elsewhere = ["kind", "server.metrics", "server.metrics_port", "draft.on_mismatch", "draft.on_loss"];

/** The keys of a profile that have neither a flag nor a note. */
function findLostKeys({ given, rendering }: Rendered): string[] {
  const spoken = new Set([...rendering.flags, ...rendering.notes].map(({ key }) => key));
  return leafKeys(given).filter((key) => !spoken.has(key) && !elsewhere.includes(key));
}

/** Maps that are one value. */
const whole = new Set(["draft.model", "mmproj", "chat_template_kwargs"]);

function leafKeys(given: Values, prefix = ""): string[] {
  return Object.entries(given).flatMap(([name, value]) => {
    const key = prefix + name;
    const isMap = typeof value === "object" && value !== null && !Array.isArray(value) && !whole.has(key);
    return isMap ? leafKeys(value as Values, `${key}.`) : [key];
  });
}

describe.each(programs)("any profile that validates, on $name", (program) => {
  let all: readonly Rendered[] = [];
  beforeAll(() => {
    all = profiles.map((given) => renderRest(given, program));
  });

  test("renders with known flags and values, but for the keys that are refused", () => {
    expect(all.flatMap((one) => findFaults(one, program.catalogue))).toEqual([]);
  });

  test("loses no key: each is passed, refused, or its absence explained", () => {
    expect(all.flatMap(findLostKeys)).toEqual([]);
  });

  test("has, over all profiles, every key that the build can be told", () => {
    const told = new Set(all.flatMap(({ rendering: { flags, notes } }) => [...flags, ...notes].map(({ key }) => key)));
    expect(flagTable.map(({ key }) => key).filter((key) => !told.has(key))).toEqual(program.never);
  });
});
