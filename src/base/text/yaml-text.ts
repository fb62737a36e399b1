import { Document, type ToStringOptions, visit } from "yaml";
import { codeOf, controlCharacter } from "./control-characters.ts";
import { printable } from "./printable.ts";

/** YAML 1.1 ends lines at NEL, LS and PS, and readers refuse the others: all of them are written as escapes. */
const onlyEscaped = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Plain text that some reader takes for another type: Go's for `0o14` and `-_4`, and YAML 1.1 for `=` and `<<`. */
const ambiguous = /^(?:[-+]?0[box]|[-+]?\.?_|=$|<<$)/i;

/**
 * YAML from which every reader gets exactly these values. Text with a line break, another control character or an
 * invisible one is quoted on one line, with escapes for the characters that cannot be printed.
 * @param version kubectl and others read YAML 1.1, where a bare `off` is false; profiles are YAML 1.2.
 */
export function writeYaml(value: unknown, version: "1.1" | "1.2" = "1.1"): string {
  return write(value, version);
}

/**
 * As {@link writeYaml}, on one line without a line break: `{ a: 1 }`, but `[a]`, as in the shipped profiles. In YAML
 * 1.2.
 */
export function writeYamlInLine(value: unknown): string {
  return write(value, "1.2", { collectionStyle: "flow", flowCollectionPadding: !Array.isArray(value) }).replace(
    /\n$/,
    "",
  );
}

function write(value: unknown, version: "1.1" | "1.2", style: ToStringOptions = {}): string {
  const document = new Document(value, { version, aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === "string" && needsQuotes(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  const text = document.toString({ ...style, lineWidth: 0, doubleQuotedMinMultiLineLength: Infinity });
  // These characters now stand only in double quotes, where YAML knows the escapes of `printable`, too.
  return printable(
    text.replaceAll(onlyEscaped, (character) => `\\u${codeOf(character).toString(16).padStart(4, "0")}`),
  );
}

function needsQuotes(text: string): boolean {
  return (
    controlCharacter.test(text) || printable(text) !== text || text.search(onlyEscaped) >= 0 || ambiguous.test(text)
  );
}
