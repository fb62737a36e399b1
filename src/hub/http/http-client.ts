import type { Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import type { buildConnector, Dispatcher } from "undici";
import { LlmctlError } from "../../base/errors.ts";

/** The HTTP client that all requests of this process share. */
export interface HttpClient {
  readonly dispatcher: Dispatcher;
  /** Gives up the connections that are not established yet, so that they do not keep the process alive. */
  readonly dropConnecting: () => void;
}

const proxyNames = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"] as const;

/** A last resort: the stall guard of a request is faster. */
const connectTimeoutMs = 60_000;

/**
 * Makes the HTTP client. It goes through the proxies that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name, in either
 * case.
 * @throws LlmctlError `bad-setting` for a proxy without a usable address.
 */
export async function makeHttpClient(env: Readonly<Record<string, string | undefined>>): Promise<HttpClient> {
  for (const name of proxyNames) checkAddress(name, env[name]);
  const connecting = new Set<Socket>();
  // Loading takes a tenth of a second, so only commands that fetch something load it.
  keepBaselineCode();
  const undici = await import("undici");
  const dispatcher = new undici.EnvHttpProxyAgent({
    httpProxy: env["http_proxy"] || env["HTTP_PROXY"] || "",
    httpsProxy: env["https_proxy"] || env["HTTPS_PROXY"] || "",
    noProxy: env["no_proxy"] || env["NO_PROXY"] || "",
    // As curl does it: proxies tend to refuse tunnels to any port but that of https.
    proxyTunnel: false,
    connect: noteConnecting(undici.buildConnector({ timeout: connectTimeoutMs }), connecting),
  });
  return {
    dispatcher,
    dropConnecting: () => connecting.forEach((socket) => socket.destroy(new Error("the request was given up"))),
  };
}

/** Optimizing the HTTP parser, which is WebAssembly, takes 25 MB for a moment and makes no download faster. */
function keepBaselineCode(): void {
  setFlagsFromString("--no-wasm-tier-up");
  setFlagsFromString("--no-wasm-dynamic-tiering");
}

/** Keeps in `connecting` the sockets that are not connected yet: no signal reaches them inside the library. */
function noteConnecting(connect: buildConnector.connector, connecting: Set<Socket>): buildConnector.connector {
  return (options, callback) => {
    const settle: buildConnector.Callback = (...result) => {
      connecting.delete(socket);
      callback(...result);
    };
    // The library returns the socket, which its types leave out.
    const socket = connect(options, settle) as unknown as Socket;
    connecting.add(socket);
  };
}

/** A proxy's password must not be part of a message. */
function checkAddress(name: string, address: string | undefined): void {
  if (!address || (URL.canParse(address) && /^(https?|socks5?):$/.test(new URL(address).protocol))) return;
  throw new LlmctlError("bad-setting", `${name} is not the address of a proxy`, {
    exit: "config",
    fix: `unset ${name}, or give an address such as http://proxy.example:3128`,
  });
}
