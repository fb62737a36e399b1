import { printableSentence } from "../../base/text/printable.ts";
import type { Status, StatusEvent } from "../../control/messages.ts";
import { createNotifier } from "../../services/notify.ts";
import { describeDrafting } from "../../llama/server/draft-proof.ts";

/** How much longer a start may take, told again and again while it goes on. */
const extendMs = 120_000;
const extendEveryMs = 30_000;
/** Each message costs a process. */
const trafficEveryMs = 30_000;

/** Passes what happens on to systemd; does nothing where no systemd started us. */
export interface SystemdReporter {
  report(event: StatusEvent): void;
  /** From now on also tells how fast the server has been of late. */
  watch(read: () => Status): void;
  close(): void;
}

/**
 * Tells systemd about readiness only when the proof has passed, and keeps a start alive for as long as the supervisor
 * does.
 */
export function createSystemdReporter(env: NodeJS.ProcessEnv): SystemdReporter {
  const notifier = createNotifier(env, {
    onFailure: (error) => process.stderr.write(`llmctl: warning: ${printableSentence(error.message)}\n`),
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
      // A load goes on twice a second: the manager is told each percent once.
      if (isProgress && message === told) return;
      tell(status.state === "ready" ? describeReady(status) : message);
      if (status.state === "ready") {
        settle();
        notifier.ready();
      } else if (status.state === "stopping" || status.state === "killing") {
        // No STOPPING=1: the manager takes it for the end of the service, and a restart goes on after this.
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
  const lately = [...speed, ...accepted].join(", ");
  return `ready on ${url}, drafting ${describeDrafting(drafting)}${lately === "" ? "" : `; last 10 minutes: ${lately}`}`;
}

/** What is done before there is a supervisor; does nothing where no systemd started us. */
export interface HeldStart {
  /** One line that `systemctl status` shows. */
  readonly status: (text: string) => void;
  readonly close: () => void;
}

/** Keeps a start from timing out while models are fetched and verified. */
export function holdStart(env: NodeJS.ProcessEnv): HeldStart {
  const notifier = createNotifier(env, {
    onFailure: (error) => process.stderr.write(`llmctl: warning: ${printableSentence(error.message)}\n`),
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
