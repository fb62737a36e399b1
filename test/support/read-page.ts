import { type DefaultTreeAdapterMap, defaultTreeAdapter, parse, type ParserError } from "parse5";

/** An element of a page, as a browser sees it. */
interface PageElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** All text in it, those of its children included. */
  readonly text: string;
  /** Names of the elements around it, the nearest first. */
  readonly around: readonly string[];
}

export interface ReadPage {
  readonly elements: readonly PageElement[];
  /** What the parser of a browser has to mend. */
  readonly errors: readonly string[];
  /** Text of the page, without its style. */
  readonly text: string;
  readonly find: (name: string, className?: string) => PageElement[];
  /** Texts of the cells of each row of the body of the tables of a class. */
  readonly rows: (className: string) => string[][];
}

type TreeNode = DefaultTreeAdapterMap["node"];

/** Parses a page as browsers do. */
export function readPage(html: string): ReadPage {
  const errors: string[] = [];
  const onParseError = ({ code, startLine }: ParserError) => {
    // Browsers keep these characters as they are.
    if (code !== "noncharacter-in-input-stream") errors.push(`${code} in line ${startLine}`);
  };
  const elements: PageElement[] = [];
  const rows: { readonly table: string; readonly cells: string[] }[] = [];

  const visit = (node: TreeNode, around: readonly string[], table: string): void => {
    if (!("childNodes" in node)) return;
    if (!defaultTreeAdapter.isElementNode(node)) {
      for (const child of node.childNodes) visit(child, around, table);
      return;
    }
    const attributes = Object.fromEntries(node.attrs.map(({ name, value }) => [name, value]));
    const inTable = node.tagName === "table" ? (attributes["class"] ?? "") : table;
    elements.push({ name: node.tagName, attributes, text: textOf(node), around });
    if (node.tagName === "tr" && around[0] === "tbody") rows.push({ table: inTable, cells: cellsOf(node) });
    for (const child of node.childNodes) visit(child, [node.tagName, ...around], inTable);
  };
  visit(parse(html, { onParseError }), [], "");

  const hasClass = (list: string | undefined, name: string) => (list ?? "").split(" ").includes(name);
  return {
    elements,
    errors,
    text: elements.find(({ name }) => name === "body")?.text ?? "",
    find: (name, className) =>
      elements.filter(
        (one) => one.name === name && (className === undefined || hasClass(one.attributes["class"], className)),
      ),
    rows: (className) => rows.filter(({ table }) => hasClass(table, className)).map(({ cells }) => cells),
  };
}

function cellsOf(row: DefaultTreeAdapterMap["element"]): string[] {
  return row.childNodes.filter((node) => defaultTreeAdapter.isElementNode(node)).map((cell) => textOf(cell).trim());
}

function textOf(node: TreeNode): string {
  if (defaultTreeAdapter.isTextNode(node)) return node.value;
  return "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
}
