import { describe, expect, test } from "vitest";
import { findPriorityProblem, parsePriorityRights } from "../../../../src/llama/ask/priority-rights.ts";

const limits = (
  nice: string,
  realtime: string,
) => `Limit                     Soft Limit           Hard Limit           Units
Max processes             63430                63430                processes
Max nice priority         ${nice.padEnd(20)} ${nice.padEnd(20)}
Max realtime priority     ${realtime.padEnd(20)} ${realtime.padEnd(20)}
`;
const status = (uid: number, bounding: string, ambient: string) => `Name:\tnode
Uid:\t${uid}\t${uid}\t${uid}\t${uid}
CapPrm:\t000001ffffffffff
CapBnd:\t${bounding}
CapAmb:\t${ambient}
`;
const all = "000001ffffffffff";
const none = "0000000000000000";
const machine = "         0          0 4294967295\n";

const user = { limits: limits("0", "0"), status: status(1000, all, none), uidMap: machine };

describe("rights to a priority", () => {
  test("a plain user has none", () => {
    expect(parsePriorityRights(user)).toEqual({ mayAll: false, fifo: 0, niceness: 20 });
  });

  test.each([
    ["root", { status: status(0, all, none) }],
    ["a user with the ambient capability", { status: status(1000, all, "0000000000800000") }],
  ])("%s may all", (_, more) => {
    expect(parsePriorityRights({ ...user, ...more }).mayAll).toBe(true);
  });

  test.each([
    ["root without the capability", { status: status(0, "000001ffff7fffff", none) }],
    ["root of a user namespace", { status: status(0, all, none), uidMap: "         0       1000          1\n" }],
  ])("%s may not", (_, more) => {
    expect(parsePriorityRights({ ...user, ...more }).mayAll).toBe(false);
  });

  test("limits are read, unlimited ones too", () => {
    expect(parsePriorityRights({ ...user, limits: limits("40", "unlimited") })).toEqual({
      mayAll: false,
      fifo: Number.POSITIVE_INFINITY,
      niceness: -20,
    });
  });
});

describe("a priority that is not permitted", () => {
  const rights = parsePriorityRights(user);

  test("both limits are named, and what a systemd unit needs", () => {
    expect(findPriorityProblem("realtime", rights)).toEqual({
      message:
        'this user has no permission to start a server with priority "realtime" ' +
        "(RLIMIT_RTPRIO is 0, 90 is needed; RLIMIT_NICE is 0, 40 is needed): " +
        "llama.cpp will warn and run at normal priority",
      fix:
        "for a service set LimitRTPRIO=90 and LimitNICE=-20, without RestrictRealtime, " +
        'as "llmctl systemd show" does; for a login set rtprio 90 and nice -20 in /etc/security/limits.conf; ' +
        "or write priority: normal",
    });
  });

  test.each(["medium", "high"] as const)("%s needs rights too", (priority) => {
    expect(findPriorityProblem(priority, rights)?.fix).toContain("LimitRTPRIO=");
  });

  test.each(["low", "normal"] as const)("%s needs none", (priority) => {
    expect(findPriorityProblem(priority, rights)).toBeUndefined();
  });

  test.each([
    { mayAll: true, fifo: 0, niceness: 20 },
    { mayAll: false, fifo: 90, niceness: -20 },
  ])("nothing is said to who has %j", (enough) => {
    expect(findPriorityProblem("realtime", enough)).toBeUndefined();
  });

  test("only what is lacking is named", () => {
    const problem = findPriorityProblem("realtime", { mayAll: false, fifo: 99, niceness: 0 });
    expect(problem?.message).toContain("(RLIMIT_NICE is 20, 40 is needed)");
  });
});
