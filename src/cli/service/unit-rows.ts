import { describeFix } from "../../base/fix.ts";
import type { UnitFailure } from "../../fleet/units/unit-failure.ts";
import type { GoneFile } from "../../services/gone-files.ts";

/** Rows of `systemd status` about a file that is not there any more. */
export function describeGone({ what, path, fix }: GoneFile): string[] {
  return [`gone      ${what}: ${path}`, `fix       ${describeFix(fix)}`];
}

/** Rows of `systemd status` about the last failure of the service. */
export function describeFailure({ message, fix }: UnitFailure): string[] {
  return [`failure   ${message}`, ...(fix === undefined ? [] : [`fix       ${describeFix(fix)}`])];
}
