import { warn } from "../screen/notes.ts";
import type { Status, StatusEvent } from "../../control/messages.ts";
import { createNotifier } from "../../services/notify.ts";
import { describeDrafting } from "../../llama/server/draft-proof-texts.ts";

/** By how much a start is extended, and how often, while it goes on. */
const extendMs = 120_000;
const extendEveryMs = 30_000;
/** Each message costs a process. */
const trafficEveryMs = 30_000;

/** Passes events on to systemd; does nothing where systemd did not start this process. */
export interface SystemdReporter {
  report(event: StatusEvent): void;
  /** From now on also reports the speed of the last ten minutes. */
  watch(read: () => Status): void;
  close(): void;
}

/** Reports readiness to systemd only after the proof of drafting, and extends a start for as long as it goes on. */
export function createSystemdReporter(env: NodeJS.ProcessEnv): SystemdReporter {
  const notifier = createNotifier(env, {
    onFailure: ({ message }) => warn(message),
  });
  const watchdog =
    notifier.watchdogIntervalMs === undefined
      ? undefined
      : setInterval(() => notifier.pingWatchdog(), notifier.watchdogIntervalMs);
  let starting: NodeJS.Timeout | undefined;
  let told: string | undefined;
  let traffic: NodeJS.Timeout | undefined;
  const tell = (text: string) => {
    if (text !== told) notifier.status(text);
    told = text;
  };
  const settle = () => {
    clearInterval(starting);
    starting = undefined;
  };
  return {
    report({ message, status, isProgress }) {
      // Progress of a load comes twice a second; systemd is told each percent once.
      if (isProgress && message === told) return;
      tell(status.state === "ready" ? describeReady(status) : message);
      if (status.state === "ready") {
        settle();
        notifier.ready();
      } else if (status.state === "stopping" || status.state === "killing") {
        // No STOPPING=1: systemd takes it for the end of the service, and a restart goes on after this.
        settle();
      } else if (env["NOTIFY_SOCKET"] && starting === undefined && status.state !== "unhealthy") {
        notifier.extendTimeout(extendMs);
        starting = setInterval(() => notifier.extendTimeout(extendMs), extendEveryMs);
      }
    },
    watch(read) {
      if (!env["NOTIFY_SOCKET"]) return;
      traffic = setInterval(() => {
        const status = read();
        if (status.state === "ready") tell(describeReady(status));
      }, trafficEveryMs);
    },
    close() {
      settle();
      clearInterval(watchdog);
      clearInterval(traffic);
    },
  };
}

function describeReady({ url, drafting, traffic }: Status): string {
  const { tokensPerSecond = null, acceptanceRate = null } = traffic?.lastTenMinutes ?? {};
  const speed = tokensPerSecond === null ? [] : [`${tokensPerSecond.toFixed(1)} tokens/s`];
  const accepted = acceptanceRate === null ? [] : [`${Math.round(100 * acceptanceRate)} % of drafted tokens accepted`];
  const recent = [...speed, ...accepted].join(", ");
  const recentPart = recent === "" ? "" : `; last 10 minutes: ${recent}`;
  return `ready on ${url}, drafting ${describeDrafting(drafting)}${recentPart}`;
}

/** A start that has no supervisor yet; does nothing where systemd did not start this process. */
export interface HeldStart {
  /** One line that `systemctl status` shows. */
  readonly status: (text: string) => void;
  readonly close: () => void;
}

/** Keeps a start from timing out while models are fetched and verified. */
export function holdStart(env: NodeJS.ProcessEnv): HeldStart {
  const notifier = createNotifier(env, {
    onFailure: ({ message }) => warn(message),
  });
  const extend = () => notifier.extendTimeout(extendMs);
  let extending: NodeJS.Timeout | undefined;
  return {
    status: (text) => {
      notifier.status(text);
      extend();
      extending ??= setInterval(extend, extendEveryMs);
    },
    close: () => clearInterval(extending),
  };
}
