/**
 * An option of Node with which the program's first `readdir` runs other code, as a bug of the program would.
 * @param body Statements of an async function.
 */
export function breakReaddir(body: string): string {
  const code = `
    import fs from "node:fs/promises";
    import { syncBuiltinESMExports } from "node:module";
    fs.readdir = async () => { ${body} };
    syncBuiltinESMExports();
  `;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}

/** The body of a bug that no promise catches. @param thrown An expression. */
export function throwOutsideOfPromises(thrown: string): string {
  return `setImmediate(() => { throw ${thrown}; }); await new Promise(() => {});`;
}
