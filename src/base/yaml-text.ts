import { Document, type DocumentOptions, type ToStringOptions, visit } from "yaml";
import { printable } from "./printable.ts";

/** A value as YAML of characters that can be printed. A text that has others stands in double quotes, where the escapes of `printable` mean them. */
export function yamlText(value: unknown, options: ToStringOptions & DocumentOptions = {}): string {
  const document = new Document(value, options);
  visit(document, {
    Scalar: (_key, node) => {
      if (typeof node.value === "string" && printable(node.value) !== node.value) node.type = "QUOTE_DOUBLE";
    },
  });
  return printable(document.toString(options));
}
