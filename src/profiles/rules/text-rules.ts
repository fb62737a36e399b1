import { controlCharacter, nameCharacter } from "../../base/text/control-characters.ts";
import { quote } from "../yaml/quote-value.ts";
import { type ProfileProblem, type KeyPath, mapMap, nearestPlace, showKey, type LocatedMap } from "../yaml/located.ts";

/**
 * Keys whose text may have several lines. All other values, also of new keys, are paths, names or addresses: one line
 * of a file or a command.
 */
const proseKeys: readonly string[] = ["description", "env", "args", "chat_template", "chat_template_kwargs"];

/** Half of a surrogate pair: text that no file and no command line can hold. */
const halfCharacter = /\p{Cs}/u;

/**
 * Refuses control characters in all values but prose: texts for other programs have each value on a line of its own.
 */
export function checkTextRules(root: LocatedMap): ProfileProblem[] {
  const findings: ProfileProblem[] = [];
  mapMap(root, (scalar, path) => {
    const found = typeof scalar.value === "string" ? forbiddenIn(path).exec(scalar.value)?.[0] : undefined;
    if (found !== undefined) findings.push(explain(found, { text: String(scalar.value), path, root }));
    return scalar;
  });
  return findings;
}

function forbiddenIn([key]: KeyPath): RegExp {
  return proseKeys.includes(String(key)) ? halfCharacter : controlCharacter;
}

interface Holder {
  readonly text: string;
  readonly path: KeyPath;
  readonly root: LocatedMap;
}

function explain(character: string, { text, path, root }: Holder): ProfileProblem {
  const isHalf = halfCharacter.test(character);
  const what = isHalf ? "half of a character" : "a control character";
  const isBlock = text.trimEnd() !== text && !controlCharacter.test(text.trimEnd());
  return {
    message: `${quote(showKey(path))} holds ${what}, ${nameCharacter(character)}: ${quote(text)}`,
    place: nearestPlace(root, path),
    fix: isBlock ? "write the value behind the key, on one line" : `write it without ${what}`,
  };
}
