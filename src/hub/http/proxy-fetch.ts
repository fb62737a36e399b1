import { LlmctlError } from "../../base/errors.ts";
import { followRedirects, type HubFetch } from "./http-get.ts";

const names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"] as const;

let made: Promise<HubFetch> | undefined;

/**
 * A `fetch` through the proxies that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name, in either case; Node's own looks
 * at none of them unless it is told to, and not before version 24.
 * @returns undefined where the environment names no proxy.
 */
export function findProxyFetch(env: Readonly<Record<string, string | undefined>>): HubFetch | undefined {
  if (!names.some((name) => env[name])) return undefined;
  return async (url, init) => (await (made ??= makeProxyFetch(env)))(url, init);
}

/** The library takes a quarter of a second to load, so it is left out where there is no proxy. */
async function makeProxyFetch(env: Readonly<Record<string, string | undefined>>): Promise<HubFetch> {
  for (const name of names) checkAddress(name, env[name]);
  const { EnvHttpProxyAgent, fetch } = await import("undici");
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: env["http_proxy"] || env["HTTP_PROXY"] || "",
    httpsProxy: env["https_proxy"] || env["HTTPS_PROXY"] || "",
    noProxy: env["no_proxy"] || env["NO_PROXY"] || "",
    // As curl does it: proxies tend to refuse tunnels to any port but that of https.
    proxyTunnel: false,
  });
  return followRedirects(async (address, init) => {
    const answer = await fetch(address, { ...init, dispatcher, redirect: "manual" });
    // The end of the body is not waited for; it may have none.
    return { answer, skip: () => void answer.body?.cancel().catch(() => undefined) };
  });
}

/** A proxy's password must not be part of a message. */
function checkAddress(name: string, address: string | undefined): void {
  if (!address || (URL.canParse(address) && /^(https?|socks5?):$/.test(new URL(address).protocol))) return;
  throw new LlmctlError("bad-setting", `${name} is no address of a proxy`, {
    exit: "config",
    fix: `unset ${name}, or give an address such as http://proxy.example:3128`,
  });
}
