import { dirname } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import { type LoadOptions, loadProfile } from "./load.ts";
import { quote } from "./yaml/quote-value.ts";
import type { Profile } from "./schema/schema.ts";

/**
 * Loads profiles and everything that they depend on, each once. A dependency comes before the profiles that need it;
 * else the order is the one asked for.
 * @throws LlmctlError of a profile that cannot be loaded, `dependency-unknown`, `dependency-cycle`, `profile-twice` for
 * two files of one name
 */
export async function loadInOrder(namesOrPaths: readonly string[], options: LoadOptions): Promise<readonly Profile[]> {
  const walk = new Walk(options);
  const asked: Profile[] = [];
  for (const nameOrPath of namesOrPaths) asked.push(await loadProfile(nameOrPath, options));
  // All profiles that were asked for are known by name before a dependency is followed: a file that the user named wins
  // over one that is found.
  for (const profile of asked) walk.know(profile);
  for (const profile of asked) await walk.visit(profile, []);
  return walk.order;
}

/** Walks through the dependencies, depth first. */
class Walk {
  readonly order: Profile[] = [];
  readonly #known = new Map<string, Profile>();
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  know(profile: Profile): void {
    const other = this.#known.get(profile.name);
    if (other !== undefined && other.path !== profile.path) {
      throw new LlmctlError(
        "profile-twice",
        `two files are both the profile ${quote(profile.name)}: ${other.path} and ${profile.path}`,
        {
          exit: "config",
          fix: "give one of them another name",
        },
      );
    }
    this.#known.set(profile.name, profile);
  }

  /** @param chain The profiles on the way to this one, each depending on the next. */
  async visit(profile: Profile, chain: readonly Profile[]): Promise<void> {
    if (this.order.some(({ name }) => name === profile.name)) return;
    const longer = [...chain, profile];
    for (const [index, name] of profile.values.depends_on.entries()) {
      const start = longer.findIndex((one) => one.name === name);
      if (start >= 0)
        throw cycle([...longer.slice(start).map((one) => one.name), name], profile.at("depends_on", index));
      await this.visit(this.#known.get(name) ?? (await this.#load(name, profile, index)), longer);
    }
    this.order.push(profile);
  }

  async #load(name: string, by: Profile, index: number): Promise<Profile> {
    const home = dirname(by.path);
    const { folders } = this.#options;
    try {
      const profile = await loadProfile(name, {
        ...this.#options,
        folders: folders.includes(home) ? folders : [home, ...folders],
      });
      this.#known.set(name, profile);
      return profile;
    } catch (error) {
      if (!(error instanceof LlmctlError) || error.code !== "profile-unknown") throw error;
      throw new LlmctlError(
        "dependency-unknown",
        `profile ${quote(by.name)} depends on ${quote(name)}, which does not exist`,
        {
          exit: "config",
          at: by.at("depends_on", index),
          ...(error.fix === undefined ? {} : { fix: error.fix }),
          cause: error,
        },
      );
    }
  }
}

function cycle(names: readonly string[], at: string): LlmctlError {
  return new LlmctlError(
    "dependency-cycle",
    `profile ${quote(names[0] ?? "")} depends on itself: ${names.join(" -> ")}`,
    {
      exit: "config",
      at,
      fix: "take one of these names out of its depends_on",
    },
  );
}
