import { Document, type ToStringOptions, visit } from "yaml";
import { codeOf, controlCharacter } from "./control-characters.ts";
import { printable } from "./printable.ts";

/** YAML 1.1 ends lines at NEL, LS and PS, and readers refuse the others: they stand escaped or not at all. */
const onlyEscaped = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/**
 * What some reader takes for another thing than text when it stands alone: Go's for `0o14` and `-_4`, and YAML 1.1 for
 * `=` and `<<`.
 */
const ambiguous = /^(?:[-+]?0[box]|[-+]?\.?_|=$|<<$)/i;

/**
 * YAML from which every reader gets exactly these values. Text with a line break, another control character or an
 * invisible one is quoted, on one line, with escapes for what cannot be printed.
 * @param version Readers such as kubectl are of YAML 1.1, where a bare `off` is false; profiles are YAML 1.2.
 */
export function writeYaml(value: unknown, version: "1.1" | "1.2" = "1.1"): string {
  return write(value, version);
}

/** As {@link writeYaml}, on one line without an end: `{ a: 1 }`, but `[a]`, as in the shipped profiles. In YAML 1.2. */
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
  // By now these characters are in double quotes only, where the escapes of `printable` mean them, too.
  return printable(
    text.replaceAll(onlyEscaped, (character) => `\\u${codeOf(character).toString(16).padStart(4, "0")}`),
  );
}

function needsQuotes(text: string): boolean {
  return (
    controlCharacter.test(text) || printable(text) !== text || text.search(onlyEscaped) >= 0 || ambiguous.test(text)
  );
}
