import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { renderCli, type Rendering, renderServer } from "../../../../src/llama/render/render-command.ts";
import { anyProfileValues, type Values } from "../../../support/any-profile.ts";
import { makeProfile, readCatalogue, readCliCatalogue, serverBuilds } from "../../../support/llama-help.ts";

const models = {
  target: "/m/target.gguf",
  draft: "/m/draft.gguf",
  sidecars: new Map(["mmproj", "lora.0", "lora.1", "lora.2"].map((key) => [key, `/m/${key}.gguf`])),
};

const programs = [
  ...serverBuilds.map((build) => ({
    name: `llama-server ${build}`,
    render: renderServer,
    catalogue: readCatalogue(build),
  })),
  ...(["b7698", "v0.5.0"] as const).map((build) => ({
    name: `llama-cli ${build}`,
    render: renderCli,
    catalogue: readCliCatalogue(build),
  })),
];

function tryRender(given: Values, { render, catalogue }: (typeof programs)[number]): Rendering | undefined {
  try {
    return render(makeProfile(given), models, catalogue);
  } catch (error) {
    if (error instanceof LlmctlError && error.code === "profile-unrenderable") return undefined;
    throw error;
  }
}

/** The errors of a command line according to the build's own help. */
function findFaults(rendering: Rendering | undefined, catalogue: FlagCatalogue): string[] {
  return (rendering?.flags ?? []).flatMap(({ args: [name = "", ...rest] }) => {
    const entry = catalogue.entries.find(({ names, negations }) => names.includes(name) || negations.includes(name));
    if (entry === undefined || entry.removed !== undefined) return [`${name} is unknown`];
    if (rest.length !== entry.hints.length) return [`${name} has ${rest.length} values`];
    const values = rest.join(",").split(",");
    return entry.choices === undefined || values.every((value) => entry.choices?.includes(value))
      ? []
      : [`${name} does not take ${rest[0]}`];
  });
}

/** The keys of a profile that have neither a flag nor a note. */
function findLostKeys(given: Values, rendering: Rendering | undefined): string[] {
  if (rendering === undefined) return [];
  const spoken = new Set([...rendering.flags, ...rendering.notes].map(({ key }) => key));
  return leafKeys(given).filter(
    (key) => !spoken.has(key) && !["kind", "server.metrics", "server.metrics_port", "draft.on_mismatch"].includes(key),
  );
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

// Shrinking hundreds of values would exceed the test's time limit: a failure is printed unshrunk.
const settings = { numRuns: 100, endOnFailure: true };

describe.each(programs)("any profile that validates, on $name", (program) => {
  test("is refused, or renders only with known flags and values", () => {
    let rendered = 0;
    fc.assert(
      fc.property(anyProfileValues(), (given) => {
        const rendering = tryRender(given, program);
        if (rendering !== undefined) rendered += 1;
        expect(findFaults(rendering, program.catalogue)).toEqual([]);
      }),
      settings,
    );
    // About 20 of 100 random profiles render on the oldest build; the number only shows that the test tests something.
    expect(rendered).toBeGreaterThan(3);
  });

  test("loses no key: each is passed or its absence explained", () => {
    const check = fc.property(anyProfileValues(), (given) => {
      expect(findLostKeys(given, tryRender(given, program))).toEqual([]);
    });
    expect(() => fc.assert(check, settings)).not.toThrow();
  });
});
