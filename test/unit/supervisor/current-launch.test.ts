import { describe, expect, test } from "vitest";
import { CurrentLaunch } from "../../../src/supervisor/current-launch.ts";
import type { ExitCause, Launch } from "../../../src/supervisor/launch.ts";
import { crashed, makeLaunch, notThere } from "../../support/make-launch.ts";

const first = makeLaunch({ hash: "first" });
const second = makeLaunch({ hash: "second" });
const third = makeLaunch({ hash: "third" });
const broken: ExitCause = {
  kind: "preflight-broken",
  message: "cannot prepare the start: Error: no descriptor",
  permanent: false,
  exit: "failed",
};

/** A launch whose checks and plans give these results, one after the other, and then none. */
function start({
  checks = [],
  plans,
}: { checks?: (ExitCause | Error)[]; plans?: (Launch | ExitCause | Error)[] } = {}) {
  const checked: string[] = [];
  const take = <T>(result: T | Error): T => {
    if (result instanceof Error) throw result;
    return result;
  };
  const launch = new CurrentLaunch(first, {
    preflight: async ({ hash }) => {
      checked.push(hash);
      return take(checks.shift());
    },
    plan: plans && (async () => take(plans.shift() ?? new Error("planned once too often"))),
  });
  return { launch, checked };
}

describe("a launch", () => {
  test("is checked before each start, and the cause that the check finds is passed on", async () => {
    const { launch, checked } = start({ checks: [crashed] });
    expect(await launch.prepareStart()).toBe(crashed);
    expect(await launch.prepareStart()).toBeUndefined();
    expect(checked).toEqual(["first", "first"]);
  });

  test("is replaced at the next start and not before, and for all starts after it", async () => {
    const { launch, checked } = start();
    launch.replaceAtNextStart(second);
    expect(launch.current).toBe(first);
    await launch.prepareStart();
    expect(launch.current).toBe(second);
    await launch.prepareStart();
    expect(checked).toEqual(["second", "second"]);
  });

  test("stays when a restart brings no other", async () => {
    const { launch } = start();
    launch.replaceAtNextStart(undefined);
    await launch.prepareStart();
    expect(launch.current).toBe(first);
  });

  test("of the last of several restarts is started", async () => {
    const { launch, checked } = start();
    launch.replaceAtNextStart(second);
    launch.replaceAtNextStart(third);
    await launch.prepareStart();
    expect(checked).toEqual(["third"]);
  });

  test("whose check itself fails is checked again, since the cause is a temporary one", async () => {
    const { launch } = start({ checks: [new Error("no descriptor")] });
    expect(await launch.prepareStart()).toEqual(broken);
    expect(await launch.prepareStart()).toBeUndefined();
  });
});

describe("a fallback", () => {
  const fallback = { args: ["--plain"], files: [{ path: "/m.gguf", sizeBytes: 1 }] };
  const wanted = makeLaunch({ hash: "wanted", args: ["--draft"], fallback });

  async function fallBack(): Promise<CurrentLaunch> {
    const launch = new CurrentLaunch(wanted, { preflight: async () => undefined });
    expect(launch.fallBackAtNextStart("it was slower")).toBe(true);
    expect(launch.current).toBe(wanted);
    await launch.prepareStart();
    return launch;
  }

  test("stands in for the launch from the next start on, under its hash, and has none itself", async () => {
    const launch = await fallBack();
    const { fallback: _, ...rest } = wanted;
    const standIn = { ...rest, ...fallback, proof: { wanted: false, reason: "it was slower" } };
    expect(launch.current).toEqual(standIn);
    await launch.prepareStart();
    expect(launch.current).toEqual(standIn);
    expect(launch.fallBackAtNextStart("again")).toBe(false);
  });

  test("gives way to the launch that it stands in for at a restart without another one", async () => {
    const launch = await fallBack();
    launch.replaceAtNextStart(undefined);
    await launch.prepareStart();
    expect(launch.current).toBe(wanted);
  });

  test("gives way to a new launch for good", async () => {
    const launch = await fallBack();
    launch.replaceAtNextStart(second);
    await launch.prepareStart();
    launch.replaceAtNextStart(undefined);
    await launch.prepareStart();
    expect(launch.current).toBe(second);
  });

  test("is not taken when a person asks for a restart before it has started", async () => {
    const launch = new CurrentLaunch(wanted, { preflight: async () => undefined });
    launch.fallBackAtNextStart("it was slower");
    launch.replaceAtNextStart(undefined);
    await launch.prepareStart();
    expect(launch.current).toBe(wanted);
  });

  test("of a launch that has none changes nothing", async () => {
    const { launch } = start();
    expect(launch.fallBackAtNextStart("it was slower")).toBe(false);
    await launch.prepareStart();
    expect(launch.current).toBe(first);
  });
});

describe("a placeholder", () => {
  test("is planned before each start until that succeeds, and only then checked", async () => {
    const { launch, checked } = start({ plans: [notThere, new Error("no descriptor"), second] });
    expect(await launch.prepareStart()).toBe(notThere);
    expect(await launch.prepareStart()).toEqual(broken);
    expect([launch.current, checked]).toEqual([first, []]);
    expect(await launch.prepareStart()).toBeUndefined();
    expect(launch.current).toBe(second);
    expect(await launch.prepareStart()).toBeUndefined();
    expect(checked).toEqual(["second", "second"]);
  });

  test("is never planned once a restart has brought a real launch", async () => {
    const { launch, checked } = start({ plans: [notThere] });
    await launch.prepareStart();
    launch.replaceAtNextStart(third);
    expect(await launch.prepareStart()).toBeUndefined();
    expect(checked).toEqual(["third"]);
  });

  test("that is being planned when a restart brings a launch gives way to it at the next start", async () => {
    const { launch, checked } = start({ plans: [second] });
    const preparing = launch.prepareStart();
    launch.replaceAtNextStart(third);
    await preparing;
    await launch.prepareStart();
    expect(launch.current).toBe(third);
    expect(checked).toEqual(["second", "third"]);
  });
});
