import { findPaths } from "../../base/files/paths.ts";
import { forgetProfiles } from "../../fleet/forget-profiles.ts";
import { print } from "../screen/print.ts";

/** `forget`: removes the state and the logs of profiles that do not run. @returns the exit code. */
export async function forget(names: readonly string[], { all }: { readonly all: boolean }): Promise<number> {
  const count = await forgetProfiles(names, {
    paths: findPaths(),
    all,
    onForgotten: (name) => print(`forgot "${name}": its state and its logs\n`),
  });
  if (count === 0) print("there is nothing to forget\n");
  return 0;
}
