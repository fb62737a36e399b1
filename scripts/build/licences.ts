import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** What the licences of others want to go with the bundle. @param modules Paths of the modules in it. */
export async function collectLicences(modules: readonly string[]): Promise<string> {
  const folders = modules.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path) ?? []);
  const texts = await Promise.all([...new Set(folders)].toSorted().map(describePackage));
  return `dist contains code of these packages.\n\n${texts.join("\n")}`;
}

async function describePackage(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license: string;
  };
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file)).toSorted();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return [`== ${name} ${version} (${license})\n`, ...texts.map((text) => `${text.trim()}\n`)].join("\n");
}
