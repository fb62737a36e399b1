import { join } from "node:path";

/**
 * The folder of the checkout, for tests that read the text of the sources. In a mutation run the tests run in a copy
 * whose sources hold the mutants: there this is the checkout of which the copy was made.
 */
export const checkout = process.env["LLMCTL_CHECKOUT"] ?? join(import.meta.dirname, "../..");
