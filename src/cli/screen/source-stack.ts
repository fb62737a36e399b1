import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { packageFolder } from "../../base/package-folder.ts";

/*
 * Node can map stacks itself (--enable-source-maps), but then it reads the map of every file at the start. Here a map
 * is read when a stack is printed, which is when llmctl has a bug.
 */

/** The stack with the places in our sources instead of those in the bundle, where there are maps. */
export function mapStack(stack: string): string {
  const maps = new Map<string, SourceMap | undefined>();
  return stack.replaceAll(/(file:\/\/[^\s)]+\.js):(\d+):(\d+)/g, (place, url: string, line: string, column: string) => {
    if (!maps.has(url)) maps.set(url, readMap(url));
    const origin = maps.get(url)?.findOrigin(Number(line), Number(column));
    if (origin === undefined || !("fileName" in origin)) return place;
    const source = resolve(dirname(fileURLToPath(url)), origin.fileName);
    return `${relative(packageFolder, source)}:${origin.lineNumber}:${origin.columnNumber}`;
  });
}

function readMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, "utf8")) as SourceMapPayload);
  } catch {
    return undefined; // a stack of the bundle is better than none
  }
}
