import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LlmctlError } from "../../src/base/errors.ts";
import { profileJsonSchema } from "../../src/profiles/schema/json-schema.ts";
import { resolveProfile } from "../../src/profiles/load.ts";
import { textKeys } from "../support/hostile-values.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateText, nasty } from "./mutate.ts";
import type { Random } from "./random.ts";

const shippedFolder = fileURLToPath(new URL("../../profiles", import.meta.url));
const shipped = readdirSync(shippedFolder).map((name) => readFileSync(join(shippedFolder, name), "utf8"));
const texts = textKeys();
const keys = Object.keys(profileJsonSchema().properties ?? {});

/** The text of a nearly correct profile: a shipped one with changes, or one with the schema's keys and odd values. */
export function anyYaml(random: Random): string {
  if (!random.oneIn(3)) return mutateText(random.pick(shipped), random);
  const lines = Array.from({ length: 1 + random.below(6) }, () => `${random.pick(keys)}: ${anyValue(random, 3)}`);
  return `model: m.gguf\n${lines.join("\n")}\n`;
}

/**
 * Pieces that begin something. In a long row of them a bad pattern looks for the end from each one, which takes
 * quadratic time.
 */
const starts = [
  "/",
  "//",
  "${env:A:-",
  "${env:",
  "[",
  "-",
  ".",
  "_key",
  "1",
  "1.",
  "a:1",
  "=",
  "\\",
  " ",
  "https://",
  "https://a?",
  "\u001b[",
  "é",
  "\n",
];
/** Ten of them make the longest profile that is accepted. */
const longest = 90_000;

/** A profile with some very long texts. */
function longYaml(random: Random): string {
  const piece = random.pick(starts);
  const count = random.below(longest / (JSON.stringify(piece).length - 2));
  const text = random.pick(["", "/", "https://", "a"]) + piece.repeat(count) + random.pick(["", "x", "}", ".gguf"]);
  return JSON.stringify(Object.assign({}, ...Array.from({ length: 10 }, () => random.pick(texts).with(text))));
}

function anyValue(random: Random, depth: number): string {
  switch (random.below(depth === 0 ? 3 : 7)) {
    case 0:
      return random.pick(nasty);
    case 1:
      return JSON.stringify(random.pick(nasty));
    case 2:
      return String(random.below(2 ** 31) - 2 ** 20);
    case 3:
      return `[${anyValue(random, depth - 1)}, ${anyValue(random, depth - 1)}]`;
    case 4:
      return `{ ${random.pick([...keys, ...nasty])}: ${anyValue(random, depth - 1)} }`;
    case 5:
      return "[".repeat(random.below(3000)) + random.pick(nasty) + "]".repeat(random.below(3000));
    default:
      return `\n${" ".repeat(random.below(4))}${random.pick(keys)}: ${anyValue(random, depth - 1)}`;
  }
}

/** Profiles as people write them: parsed, merged with the profiles that they extend, expanded and checked. */
export const yamlFuzzer: Fuzzer = {
  name: "yaml",
  counts: { short: 4000, full: 200_000 },
  outcomes: ["read", "profile-invalid"],
  open: async () => {
    const folder = await mkdtemp(join(tmpdir(), "llmctl-fuzz-"));
    const path = join(folder, "p.yaml");
    await writeFile(path, "");
    return {
      attempt: async (random: Random) => {
        try {
          const text = random.oneIn(200) ? longYaml(random) : anyYaml(random);
          const options = { folders: [shippedFolder], env: { HOME: folder }, cwd: folder, instead: { path, text } };
          const { profile } = await resolveProfile(path, options);
          for (const key of keys) profile.at(key);
          return "read";
        } catch (error) {
          if (error instanceof LlmctlError && error.exit === "config") return error.code;
          throw error;
        }
      },
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    };
  },
};
