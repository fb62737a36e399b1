import { LlmctlError } from "../base/errors.ts";
import type { ModelRef, Profile } from "./schema/schema.ts";

/** The model that a profile serves. @throws LlmctlError `not-a-server` for a worker, which has none. */
export function targetModel({ name, values, at }: Profile): ModelRef {
  if (values.model !== undefined) return values.model;
  throw new LlmctlError("not-a-server", `"${name}" is a worker, which has no model of its own`, {
    exit: "usage",
    at: at("kind"),
    fix: "name the profile of a server",
  });
}
