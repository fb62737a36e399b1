import type { Paths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import type { HeaderOptions } from "../../hub/find/read-model-headers.ts";
import type { HubAccess } from "../../hub/http/hub-access.ts";
import type { NetworkTraffic } from "../../hub/http/http-source.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import { paint } from "../screen/paint.ts";
import { printError } from "../screen/print.ts";

/** For a command that only reads headers: Ctrl-C ends the process, and retries are reported on stderr. */
export function createHubAccess(): HubAccess {
  return {
    hub: readHubSettings(process.env),
    signal: new AbortController().signal,
    onProgress: ({ reason, delayMs }) => {
      printError(`${paint("yellow", `${printableSentence(reason)}; trying again in ${formatDuration(delayMs)}`)}\n`);
    },
  };
}

/** For a model that no profile names. */
export function headerOptions(paths: Paths): HeaderOptions {
  return {
    ...createHubAccess(),
    hubCache: paths.hub,
    llamaCache: paths.llamaCache,
    modelDirs: [],
    profile: undefined,
  };
}

/** What was read over the network: `9.1 MB of headers in 4 requests`. */
export function formatTraffic({ bytesRead, requests }: Readonly<NetworkTraffic>): string {
  return `${formatSize(bytesRead)} of headers in ${requests === 1 ? "1 request" : `${requests} requests`}`;
}
