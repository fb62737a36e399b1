import { join } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { findRefusedFlags } from "../../src/llama/render/dry-run.ts";
import { readFlagCatalogue } from "../../src/llama/ask/flag-catalogue.ts";
import { planShipped, shippedPrograms, shippedProfiles, snapshotPath } from "../support/shipped-plans.ts";
import { TempHome } from "../support/temp-home.ts";

const env = { PATH: process.env["PATH"] ?? "" };

// The binaries themselves, not the captures of their help that the unit tests read.
describe.each(inject("llamaBuilds"))("on $ref", ({ ref, server, cli }) => {
  describe.each(shippedPrograms)("%s", (program) => {
    const file = program === "llama-server" ? server : cli;

    test.each(shippedProfiles)(
      "%s becomes the committed command, which the binary accepts except for missing devices",
      async (name) => {
        await using home = await TempHome.create();
        const catalogue = await readFlagCatalogue(file, { cacheDir: join(home.path, "cache"), env });
        const { profile, rendering, text } = await planShipped(name, program, catalogue);
        await expect(text).toMatchFileSnapshot(snapshotPath(name, program, ref));
        const refused =
          rendering === undefined
            ? []
            : await findRefusedFlags(file, { profile, rendering }, { env, timeoutMs: 30_000 });
        expect(
          refused.map(({ flag }) => flag?.key).filter((key) => key !== "devices" && key !== "draft.devices"),
        ).toEqual([]);
      },
    );
  });
});
