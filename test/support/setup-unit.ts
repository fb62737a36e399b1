import fc from "fast-check";
import { chooseSeed } from "./seed.ts";

fc.configureGlobal({ seed: chooseSeed() });

// Tests of colours must not depend on the terminal of the person who runs them.
delete process.env["NO_COLOR"];
