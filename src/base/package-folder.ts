import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The folder of this package, which holds `package.json`, the profiles, the catalogues and the scripts: the nearest one
 * above this file, which is in another place in the sources than in the bundled program.
 */
export const packageFolder: string = findPackageFolder(import.meta.dirname);

function findPackageFolder(start: string): string {
  for (let folder = start; folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(join(folder, "package.json"))) return folder;
  throw new Error(`there is no package.json above ${start}`);
}
