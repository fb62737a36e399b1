import { identifyProcess, type ProcessIdentity } from "../../src/supervisor/state/process-identity.ts";

/** A process that runs and is not this one. */
export const parent: ProcessIdentity = identifyProcess(process.ppid) ?? unknown();
/** A process that has ended; no system gives such a pid. */
export const gone: ProcessIdentity = { ...parent, pid: 2 ** 30 };
/** A process that has ended, and whose pid another one has now. */
export const reusedPid: ProcessIdentity = { ...parent, startTime: "1" };
/** A process of a container, with a pid that some process has here. */
export const otherNamespace: ProcessIdentity = { ...parent, pidNamespace: "pid:[1]" };

function unknown(): never {
  throw new Error("the parent of this process is not visible");
}
