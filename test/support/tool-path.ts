import { mkdir, rm, symlink } from "node:fs/promises";
import { findTool } from "../../src/base/files/find-tool.ts";
import type { TempHome } from "./temp-home.ts";

/** A PATH with this Node and these tools, and no others. */
export async function pathWith(home: TempHome, tools: readonly string[]): Promise<string> {
  const bin = home.join("bin");
  await rm(bin, { recursive: true, force: true });
  await mkdir(bin);
  for (const tool of tools) await symlink(findTool(tool) ?? "", `${bin}/${tool}`);
  await symlink(process.execPath, `${bin}/node`);
  return bin;
}
