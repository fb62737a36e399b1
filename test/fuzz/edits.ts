import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { LlmctlError } from "../../src/base/errors.ts";
import { setInYaml, unsetInYaml } from "../../src/profiles/yaml/edit-yaml.ts";
import { parseKey } from "../../src/profiles/yaml/key-path.ts";
import { parseValueArgument } from "../../src/profiles/yaml/value-argument.ts";
import { makeSource } from "../../src/profiles/yaml/located.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { nasty } from "./mutate.ts";
import type { Random } from "./random.ts";
import { anyYaml } from "./yaml.ts";

const source = makeSource("p", "/work/p.yaml", "/work");
const keys =
  "alias ctx_size server.port server.host draft.n_max draft.model.hf model.quant env.A env.B.C devices[0] devices[9] x.y.z a".split(
    " ",
  );

/**
 * Edits of a profile's text: what the key says afterwards is what was asked for, and every other key says what it said.
 */
export const editsFuzzer: Fuzzer = {
  name: "edits",
  counts: { short: 1000, full: 20_000 },
  outcomes: ["set", "unset", "nothing to unset", "profile-uneditable", "profile-invalid"],
  open: () =>
    Promise.resolve({
      attempt: (random: Random) => {
        const text = anyYaml(random);
        const key = random.pick(keys);
        try {
          return random.oneIn(3)
            ? tryUnset(text, key)
            : trySet(text, key, random.oneIn(2) ? String(random.below(100)) : random.pick(nasty));
        } catch (error) {
          if (error instanceof LlmctlError && error.exit === "config") return error.code;
          throw error;
        }
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};

function trySet(text: string, key: string, typed: string): string {
  const { value } = parseValueArgument(typed, false);
  const path = parseKey(key) ?? [];
  const edited = setInYaml(text, path, parseValueArgument(typed, false), source);
  const after = parse(edited) as unknown;
  const found = path.reduce<unknown>(
    (one, part) => (one as Record<string | number, unknown> | undefined)?.[part],
    after,
  );
  if (!isDeepStrictEqual(found, value))
    throw new Error(`${JSON.stringify(text)}: ${key} is ${JSON.stringify(found)}, not ${JSON.stringify(value)}`);
  expectOthers(text, edited, path[0]);
  return "set";
}

function tryUnset(text: string, key: string): string {
  const path = parseKey(key) ?? [];
  const edited = unsetInYaml(text, path, source);
  if (edited === undefined) return "nothing to unset";
  expectOthers(text, edited, path[0]);
  return "unset";
}

/** What is under the other keys of the outermost map. */
function expectOthers(before: string, after: string, changed: string | number | undefined): void {
  const others = [before, after].map((text) => {
    const { [String(changed)]: _, ...rest } = (parse(text) ?? {}) as Record<string, unknown>;
    return rest;
  });
  if (!isDeepStrictEqual(others[0], others[1]))
    throw new Error(`an edit of ${changed} changed more: ${JSON.stringify([before, after])}`);
}
