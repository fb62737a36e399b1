/** Writes schema/profile.schema.json, which editors read; run it after a change to src/profiles/schema/schema.ts. */
import { writeFile } from "node:fs/promises";
import { profileSchemaText } from "../src/cli/profile/profile.ts";

await writeFile(new URL("../schema/profile.schema.json", import.meta.url), profileSchemaText());
