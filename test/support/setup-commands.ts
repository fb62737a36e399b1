import { beforeEach } from "vitest";
import { describeCommands, forgetCommands } from "./commands-of-test.ts";

// A wrong exit code, or an output that is not there, does not say why: every failed test shows what its commands wrote.
beforeEach(({ onTestFailed }) => {
  forgetCommands();
  onTestFailed(({ task }) => {
    const [error] = task.result?.errors ?? [];
    const commands = describeCommands();
    if (error === undefined || commands === "") return;
    const message = `${error.message}\n\nCommands of this test:\n${commands}\n`;
    // Some reporters print the stack alone.
    if (error.stack !== undefined) error.stack = error.stack.replace(error.message, () => message);
    error.message = message;
  });
});
