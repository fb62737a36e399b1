import { isCollection, isScalar, parseDocument } from "yaml";
import { controlCharacter } from "../../base/text/control-characters.ts";
import { writeYamlInLine } from "../../base/text/yaml-text.ts";

/** A value from the command line, to be written into a profile. */
export interface ValueArgument {
  readonly value: unknown;
  /** Its spellings on one line, the user's own first; which of them fits depends on the place. */
  readonly spellings: readonly string[];
}

/** No value of a profile nests nearly as deep; the parser is recursive. */
const mostBrackets = 64;

/**
 * Reads a value as typed on a command line: a YAML scalar or a flow collection. Anything else, such as `GLM: fast` or
 * `a # b`, is text.
 * @param isText The key takes only text, so that `1` is text, too.
 */
export function parseValueArgument(typed: string, isText: boolean): ValueArgument {
  const read = readOneLine(typed);
  const isOther = typeof read?.value !== "string";
  if (read === undefined || (isText && isOther)) return textValue(typed);
  const { value } = read;
  const own = controlCharacter.test(typed) ? [] : [typed];
  return {
    value,
    spellings: [...own, ...(typeof value === "string" ? textValue(value).spellings : [writeYamlInLine(value)])],
  };
}

/** A value that nobody has typed. */
export function spellValue(value: unknown): ValueArgument {
  return typeof value === "string" ? textValue(value) : { value, spellings: [writeYamlInLine(value)] };
}

function readOneLine(typed: string): { readonly value: unknown } | undefined {
  if (/[\r\n]/.test(typed) || typed.split(/[[{]/).length > mostBrackets) return undefined;
  const document = parseDocument(typed);
  const { contents } = document;
  const isWhole = contents?.range?.[0] === 0 && contents.range[1] === typed.length;
  const isInline = isScalar(contents) || (isCollection(contents) && contents.flow === true);
  if (document.errors.length > 0 || document.warnings.length > 0 || !isWhole || !isInline) return undefined;
  return { value: document.toJS() as unknown };
}

/** Control characters are written as escapes. */
function textValue(value: string): ValueArgument {
  if (controlCharacter.test(value)) return { value, spellings: [writeYamlInLine(value)] };
  const single = `'${value.replaceAll("'", "''")}'`;
  return { value, spellings: [value, JSON.stringify(value), single] };
}
