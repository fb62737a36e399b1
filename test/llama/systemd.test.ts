import { expect, inject, test } from "vitest";
import { findProcessesUsing, TempHome } from "../support/temp-home.ts";
import { askForStory, readServing } from "../support/real-server.ts";
import { untilGone } from "../support/processes.ts";
import { UserSystemd } from "../support/user-systemd.ts";

test("the demo profile as a service is started when drafting is proven, answers, and leaves nothing", async () => {
  await using home = await TempHome.create();
  await using systemd = await UserSystemd.start(home);
  await home.writeProfile("p", { extends: "demo", llama: { binary: inject("llama").server } });
  expect(await systemd.llmctl("systemd", "install", "p", "--user", "--from-checkout", "--now")).toMatchObject({
    exitCode: 0,
    stderr: "",
  });
  expect(await systemd.show("p", "ActiveState")).toBe("active");
  expect(await systemd.show("p", "StatusText")).toMatch(/^ready on http:\S+, drafting on, \d+ of \d+ tokens accepted/);
  const { url, pid } = await readServing(home, "p");
  expect((await askForStory(url)).timings.draft_n_accepted).toBeGreaterThan(0);
  const group = await systemd.show("p", "ControlGroup");
  expect(group).toContain("llmctl-p.service");
  await systemd.systemctl("stop", "llmctl-p.service");
  await untilGone(pid);
  expect(await systemd.show("p", "Result")).toBe("success");
  expect(await systemd.show("p", "ControlGroup")).toBe("");
  const left = await findProcessesUsing(home.join("state"));
  expect(left).toEqual([]);
});
