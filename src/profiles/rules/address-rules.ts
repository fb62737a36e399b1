import { maskAddress } from "../../base/text/secrets.ts";
import { isAddress } from "../hub-address.ts";
import { quote } from "../yaml/quote-value.ts";
import { type ProfileProblem, findLocated, type KeyPath, showKey, type LocatedMap } from "../yaml/located.ts";

/** Checks the addresses of files beyond their form. */
export function checkAddresses(root: LocatedMap): ProfileProblem[] {
  const lora = findLocated(root, ["lora"])?.value;
  const adapters = lora?.kind === "list" ? lora.items.map((_, index) => ["lora", index]) : [];
  const paths: KeyPath[] = [["model"], ["draft", "model"], ["mmproj"], ...adapters];
  return paths.flatMap((path) => [...checkUrl(root, path), ...checkPath(root, [...path, "path"])]);
}

function checkUrl(root: LocatedMap, path: KeyPath): ProfileProblem[] {
  const model = findLocated(root, path);
  const written = findLocated(root, [...path, "url"]);
  const address = written?.value.kind === "scalar" ? written.value.value : undefined;
  if (model === undefined || written === undefined || !isAddress(address)) return [];
  const problem = findProblem(address);
  // A short form has one place for the whole value.
  const place = model.value.place === written.place ? model.place : written.place;
  return problem === undefined
    ? []
    : [{ message: `${quote(showKey(path))} ${problem.message}`, place, fix: problem.fix }];
}

/** An adapter's `path` cannot be an address, since its digest could not be given. */
function checkPath(root: LocatedMap, path: KeyPath): ProfileProblem[] {
  const written = findLocated(root, path);
  if (written?.value.kind !== "scalar" || !isAddress(written.value.value)) return [];
  return [
    { message: `${quote(showKey(path))} is an address`, place: written.place, fix: "write it as url instead of path" },
  ];
}

/** Signed addresses have some thousand characters. */
const longestAddress = 8192;

function findProblem(text: string): { readonly message: string; readonly fix: string } | undefined {
  if (text.length > longestAddress)
    return { message: `is an address of ${text.length} characters`, fix: "check the address" };
  if (!URL.canParse(text))
    return { message: `is not a valid address, ${quote(maskAddress(text))}`, fix: "check the address" };
  const url = new URL(text);
  const shown = quote(`${url.origin}${url.pathname}`);
  if (url.username !== "" || url.password !== "") {
    return {
      message: `has a login, which would end up in logs, ${shown}`,
      fix: "use an address that needs no login",
    };
  }
  if (url.protocol === "https:" || isLoopback(url.hostname)) return undefined;
  return {
    message: `is an http address, whose content anybody on the network path can change, ${shown}`,
    fix:
      "write https://; http:// is only for servers on this machine (localhost, 127.0.0.1, [::1]), " +
      "so a mirror in your network needs https, too",
  };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
