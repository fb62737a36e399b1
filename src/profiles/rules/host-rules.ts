import { trimTrailingSlashes } from "../../base/text/trim-trailing-slashes.ts";
import { isIP } from "node:net";
import { controlCharacter } from "../../base/text/control-characters.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import { isSocketHost } from "./host-kinds.ts";
import { quote } from "../yaml/quote-value.ts";
import { isWorker } from "./worker-rules.ts";
import { type ProfileProblem, findLocated, type LocatedMap } from "../yaml/located.ts";

/**
 * sun_path holds 104 bytes on macOS and 108 on Linux, with a final zero. Node truncates a longer path without an error.
 */
const maxSocketPathBytes = 103;

/** Checks `server.host` beyond being text: it is an address, a name, or the path of a unix socket. */
export function checkHostRules(root: LocatedMap): ProfileProblem[] {
  const written = findLocated(root, ["server", "host"]);
  const host = written?.value.kind === "scalar" ? written.value.value : undefined;
  if (written === undefined || typeof host !== "string" || host === "") return [];
  const problem = explainHost(host);
  if (problem !== undefined) {
    return [
      {
        message: `"server.host" ${problem.message}, ${quote(maskAddress(host))}`,
        place: written.place,
        fix: problem.fix,
      },
    ];
  }
  return isSocketHost(host) && !isWorker(root) ? checkPortRule(root) : [];
}

/** With a unix socket, llama-server would ignore the port. */
function checkPortRule(root: LocatedMap): ProfileProblem[] {
  const port = findLocated(root, ["server", "port"]);
  if (port?.value.kind !== "scalar" || typeof port.value.value !== "number") return [];
  return [
    {
      message: `"server.port" is ${port.value.value}, but "server.host" is a unix socket, which has no port`,
      place: port.place,
      fix: "remove the port; if it comes from a profile that this one extends, write port: auto",
    },
  ];
}

type HostProblem = Pick<ProfileProblem, "message"> & { readonly fix: string };

function explainHost(host: string): HostProblem | undefined {
  if (/^[a-z][a-z0-9+.-]*:\/|^(?:unix|file):/i.test(host)) return explainUrl(host);
  if (isSocketHost(host)) return explainSocket(host);
  if (isIP(host) !== 0) return undefined;
  const [, bare, port] = /^\[([^\]]*)\](?::(\d*))?$/.exec(host) ?? [];
  if (bare !== undefined && isIP(bare) === 6) {
    if (port === undefined) return { message: "is an address in brackets", fix: `write ${bare}, without brackets` };
    return { message: "is an address with a port", fix: writeOnly(bare, port) };
  }
  if (host.includes("/")) {
    const name = trimTrailingSlashes(host);
    const fix = `write an address such as 127.0.0.1; the path of a unix socket ends in .sock: ${name}.sock`;
    return { message: "is neither an address nor the path of a unix socket", fix };
  }
  const [, name, behind] = /^([\w.-]+):(\d*)$/.exec(host) ?? [];
  if (name !== undefined) return { message: "is an address with a port", fix: writeOnly(name, behind) };
  if (host === "*")
    return { message: "is not an address", fix: "write 0.0.0.0 for all IPv4 addresses, or :: for those of IPv6, too" };
  return /^[^\s/:[\]@*?#,]+$/.test(host) && !controlCharacter.test(host)
    ? undefined
    : { message: "is not an address", fix: "write an address such as 127.0.0.1, or a name" };
}

function explainUrl(text: string): HostProblem {
  const path = /^(?:unix|file):(?:\/\/)?(.+)$/i.exec(text)?.[1];
  if (path !== undefined) {
    return {
      message: "is a URL",
      fix: isSocketHost(path) ? `write only the path: ${path}` : "write only a path, which ends in .sock",
    };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const host = url?.hostname.replace(/^\[(.*)\]$/, "$1") ?? "";
  if (url === undefined || host === "")
    return { message: "is a URL", fix: "write only the address, such as host: 127.0.0.1" };
  // Read from the text: the URL parser drops the default port of a scheme.
  const port = /^[^/]*\/+[^/?#]*:(\d+)(?:[/?#]|$)/.exec(text)?.[1];
  return { message: "is a URL", fix: writeOnly(host, port) };
}

function writeOnly(host: string, port = ""): string {
  const isPort = port !== "" && Number(port) >= 1 && Number(port) <= 65535;
  return `write only the address: host: ${host}${isPort ? `, port: ${Number(port)}` : ""}`;
}

function explainSocket(path: string): HostProblem | undefined {
  if (controlCharacter.test(path)) return { message: "is a path with control characters", fix: "choose another path" };
  const bytes = Buffer.byteLength(path);
  if (bytes <= maxSocketPathBytes) return undefined;
  return {
    message: `is a path of ${bytes} bytes, but the path of a unix socket has at most ${maxSocketPathBytes}`,
    fix: "choose a shorter path, such as one in /run/user/UID",
  };
}
