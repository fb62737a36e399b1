import { describe, expect, test } from "vitest";
import { askedPriority, findPriorityProblem, parsePriorityRights } from "../../../../src/llama/ask/priority-rights.ts";

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
  ])("%s permits every priority", (_, more) => {
    expect(parsePriorityRights({ ...user, ...more }).mayAll).toBe(true);
  });

  test.each([
    ["root without the capability", { status: status(0, "000001ffff7fffff", none) }],
    ["root of a user namespace", { status: status(0, all, none), uidMap: "         0       1000          1\n" }],
  ])("%s permits none", (_, more) => {
    expect(parsePriorityRights({ ...user, ...more }).mayAll).toBe(false);
  });

  test("files without these lines say that there are none", () => {
    expect(parsePriorityRights({ limits: "", status: "", uidMap: "" })).toEqual({
      mayAll: false,
      fifo: 0,
      niceness: 20,
    });
    const own = { ...user, status: "Uid:\t1000\t0\t0\t0\nCapBnd:\t000001ffffffffff\n" };
    expect(parsePriorityRights(own).mayAll).toBe(true);
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

  test("the message names both limits, the fix the settings of a systemd unit", () => {
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

  test.each([
    ["medium", { niceness: -5, fifo: 40 }],
    ["high", { niceness: -10, fifo: 80 }],
    ["realtime", { niceness: -20, fifo: 90 }],
  ] as const)("%s needs exactly what llama.cpp asks for", (priority, wanted) => {
    expect(askedPriority(priority)).toEqual(wanted);
    expect(findPriorityProblem(priority, { mayAll: false, ...wanted })).toBeUndefined();
    const missing = (more: object) => findPriorityProblem(priority, { mayAll: false, ...wanted, ...more })?.message;
    expect(missing({ fifo: wanted.fifo - 1 })).toContain(
      `(RLIMIT_RTPRIO is ${wanted.fifo - 1}, ${wanted.fifo} is needed)`,
    );
    const niceness = wanted.niceness + 1;
    expect(missing({ niceness })).toContain(`(RLIMIT_NICE is ${20 - niceness}, ${20 - wanted.niceness} is needed)`);
    expect(findPriorityProblem(priority, rights)?.fix).toContain(
      `LimitRTPRIO=${wanted.fifo} and LimitNICE=${wanted.niceness},`,
    );
  });

  test("is asked for by no other", () => {
    expect([undefined, "low", "normal"].map((one) => askedPriority(one as "low" | undefined))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test.each(["low", "normal"] as const)("%s needs none", (priority) => {
    expect(findPriorityProblem(priority, rights)).toBeUndefined();
  });

  test.each([
    { mayAll: true, fifo: 0, niceness: 20 },
    { mayAll: false, fifo: 90, niceness: -20 },
  ])("a user with %j gets no message", (enough) => {
    expect(findPriorityProblem("realtime", enough)).toBeUndefined();
  });

  test("the message names only the missing permissions", () => {
    const problem = findPriorityProblem("realtime", { mayAll: false, fifo: 99, niceness: 0 });
    expect(problem?.message).toContain("(RLIMIT_NICE is 20, 40 is needed)");
  });
});
