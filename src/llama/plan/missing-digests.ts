import type { Paths } from "../../base/files/paths.ts";
import { describeUrl } from "../../hub/find/describe-ref.ts";
import { modelLockFolder, readModelLock } from "../../hub/find/model-lock.ts";
import { listModelRefs } from "../../profiles/model-refs.ts";
import type { ProfileValues, UrlModelRef } from "../../profiles/schema/schema.ts";

/** One sentence for each model at an address whose digest the profile does not name, with the key to write. */
export async function describeMissingDigests(values: ProfileValues, paths: Paths): Promise<string[]> {
  const refs = listModelRefs(values).flatMap(({ ref }) =>
    typeof ref === "object" && "url" in ref && ref.sha256 === undefined ? [ref] : [],
  );
  return Promise.all(refs.map((ref) => describe(ref, paths)));
}

async function describe(ref: UrlModelRef, paths: Paths): Promise<string> {
  const digests = (await readModelLock(modelLockFolder(paths.state), ref))?.files.map(({ digest }) => digest) ?? [];
  const [first, ...more] = digests;
  const came =
    first === undefined ? "" : `; what came has sha256 ${more.length === 0 ? first : `[${digests.join(", ")}]`}`;
  return `${describeUrl(ref.url)} is not checked against a known digest: write { url, sha256 }${came}`;
}
