/** A file on Hugging Face, as a profile names it. */
interface HubAddress {
  hf: string;
  file: string;
  revision?: string;
}

/** Whether a value is text that starts like the address of a web server. */
export function isAddress(value: unknown): value is string {
  return typeof value === "string" && /^https?:\/\//i.test(value);
}

const hubHosts = /^https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\//i;

/** Reads the address of a file on Hugging Face; undefined for any other text. */
export function readHubAddress(text: string): HubAddress | undefined {
  if (!hubHosts.test(text)) return undefined;
  const [, hf, revision, file] = /^\/(\w[\w.-]*\/\w[\w.-]*)\/(?:resolve|blob)\/([^/]+)\/(.+)$/.exec(pathOf(text)) ?? [];
  if (hf === undefined || revision === undefined || file === undefined) return undefined;
  return { hf, file, ...(revision === "main" ? {} : { revision }) };
}

function pathOf(address: string): string {
  try {
    return decodeURIComponent(new URL(address).pathname);
  } catch {
    return ""; // no address, or one with a lone "%"
  }
}
