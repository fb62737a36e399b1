import { Document, visit } from "yaml";
import { codeOf, controlCharacter } from "./control-characters.ts";

/** YAML 1.1 ends lines at NEL, LS and PS, and readers refuse the others: they stand escaped or not at all. */
const onlyEscaped = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** What some reader takes for another thing than text when it stands alone: Go's for `0o14`, and YAML 1.1 for `=` and `<<`. */
const ambiguous = /^(?:[-+]?0[box]|=$|<<$)/i;

interface YamlStyle {
  readonly version?: "1.1" | "1.2";
  /** Maps and lists on the line of their key. */
  readonly flow?: boolean;
}

/** YAML from which every reader gets exactly these values; text with a line break or another control character is quoted, on one line. */
export function writeYaml(value: unknown, { version = "1.2", flow = false }: YamlStyle = {}): string {
  const document = new Document(value, { version, aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === "string" && needsQuotes(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  const text = document.toString({
    lineWidth: 0,
    doubleQuotedMinMultiLineLength: Infinity,
    ...(flow ? { collectionStyle: "flow", flowCollectionPadding: !Array.isArray(value) } : {}),
  });
  // By now these characters are in double quotes only.
  return text.replaceAll(onlyEscaped, (character) => `\\u${codeOf(character).toString(16).padStart(4, "0")}`);
}

function needsQuotes(text: string): boolean {
  return controlCharacter.test(text) || text.search(onlyEscaped) >= 0 || ambiguous.test(text);
}
