import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { findPaths } from "../../../../src/base/files/paths.ts";

describe("findPaths", () => {
  test("a user's files are in the XDG base directories by default", () => {
    expect(findPaths({ HOME: "/home/u", XDG_RUNTIME_DIR: "/run/user/1000" }, 1000)).toEqual({
      runtime: "/run/user/1000/llmctl",
      state: "/home/u/.local/state/llmctl",
      data: "/home/u/.local/share/llmctl",
      cache: "/home/u/.cache/llmctl",
      config: "/home/u/.config/llmctl",
      hub: "/home/u/.cache/huggingface/hub",
      llamaCache: "/home/u/.cache/llama.cpp",
    });
  });

  test("every XDG variable moves its folder", () => {
    const env = {
      HOME: "/h",
      XDG_RUNTIME_DIR: "/r",
      XDG_STATE_HOME: "/s",
      XDG_DATA_HOME: "/d",
      XDG_CACHE_HOME: "/c",
      XDG_CONFIG_HOME: "/f",
    };
    expect(findPaths(env, 1000)).toEqual({
      runtime: "/r/llmctl",
      state: "/s/llmctl",
      data: "/d/llmctl",
      cache: "/c/llmctl",
      config: "/f/llmctl",
      hub: "/c/huggingface/hub",
      llamaCache: "/c/llama.cpp",
    });
  });

  test("root's state and sockets belong to the machine", () => {
    const env = { HOME: "/root", XDG_RUNTIME_DIR: "/run/user/0", XDG_STATE_HOME: "/root/state" };
    expect(findPaths(env, 0)).toMatchObject({
      runtime: "/run/llmctl",
      state: "/var/lib/llmctl-root",
      data: "/root/.local/share/llmctl",
    });
  });

  test("without a runtime folder sockets are beside the state, where no other user can be first", () => {
    expect(findPaths({ HOME: "/home/u" }, 1000).runtime).toBe("/home/u/.local/state/llmctl/.run");
  });

  test("the state is at the same place with a runtime folder and without", () => {
    const at = (more: Record<string, string>) => findPaths({ HOME: "/home/u", ...more }, 1000).state;
    expect(at({})).toBe(at({ XDG_RUNTIME_DIR: "/run/user/1000" }));
  });

  test.each([0, 1000])("LLMCTL_HOME holds everything but the caches of models (uid %d)", (uid) => {
    const { hub, llamaCache, ...own } = findPaths(
      { HOME: "/home/u", LLMCTL_HOME: "/srv/l", XDG_STATE_HOME: "/s" },
      uid,
    );
    expect(own).toEqual({
      runtime: "/srv/l/run",
      state: "/srv/l/state",
      data: "/srv/l/data",
      cache: "/srv/l/cache",
      config: "/srv/l/config",
    });
    expect([hub, llamaCache]).toEqual(["/home/u/.cache/huggingface/hub", "/home/u/.cache/llama.cpp"]);
  });

  test.each([
    [{ HF_HOME: "/models" }, "/models/hub"],
    [{ HF_HOME: "/models", HF_HUB_CACHE: "/hub" }, "/hub"],
    [{ HF_HOME: "/models", HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
    [{ HF_HUB_CACHE: "/hub", HUGGINGFACE_HUB_CACHE: "/old" }, "/hub"],
  ])("finds the Hugging Face cache with %j", (env, hub) => {
    expect(findPaths({ HOME: "/h", ...env }, 1000).hub).toBe(hub);
  });

  test("an XDG variable that is empty or relative counts as unset", () => {
    const env = { HOME: "/h", XDG_CACHE_HOME: "", XDG_STATE_HOME: "state", XDG_DATA_HOME: "./data" };
    expect(findPaths(env, 1000)).toMatchObject({
      cache: "/h/.cache/llmctl",
      state: "/h/.local/state/llmctl",
      data: "/h/.local/share/llmctl",
    });
  });

  test("relative folders of our own and of the Hub are made absolute", () => {
    const { state, hub } = findPaths({ HOME: "/h", LLMCTL_HOME: "here", HF_HOME: "models" }, 1000);
    expect([state, hub]).toEqual([resolve("here/state"), resolve("models/hub")]);
  });

  test("an empty LLMCTL_HOME counts as unset", () => {
    expect(findPaths({ HOME: "/h", LLMCTL_HOME: "" }, 0).state).toBe("/var/lib/llmctl-root");
  });
});
