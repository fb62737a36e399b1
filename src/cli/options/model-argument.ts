import { LlmctlError } from "../../base/errors.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import type { ModelPlace } from "../../hub/find/read-model-headers.ts";

/**
 * Parses the name of a model: a path, an http(s) address, or `hf:owner/repo[:quant]`. The name of a GGUF file may stand
 * in place of the quant.
 * @throws LlmctlError `bad-model-name`.
 */
export function parseModelArgument(text: string): ModelPlace {
  if (/^https?:\/\//i.test(text)) return parseAddress(text);
  if (!text.startsWith("hf:")) return text;
  const [, hf, which] = /^hf:(\w[\w.-]*\/\w[\w.-]*)(?::(.+))?$/.exec(text) ?? [];
  if (hf === undefined) throw badName(text, "is no Hub reference", "write hf:owner/repo or hf:owner/repo:quant");
  if (which === undefined) return { hf };
  return /\.gguf$/i.test(which) ? { hf, file: which } : { hf, quant: which };
}

function parseAddress(text: string): URL {
  if (!URL.canParse(text)) throw badName(maskAddress(text), "is no address", "check the address");
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    const fix = "use an address that needs no login";
    throw badName(`${url.origin}${url.pathname}`, "is written with a login, which would end up in logs", fix);
  }
  return url;
}

function badName(text: string, why: string, fix: string): LlmctlError {
  return new LlmctlError("bad-model-name", `"${text}" ${why}`, { exit: "usage", fix });
}
