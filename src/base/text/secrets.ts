/** What stands in the place of a value that is for the server alone. */
export const hidden = "(hidden)";

/**
 * Whether a variable by this name may hold a secret; better one too many than one too few, where that only hides a
 * value.
 */
export function maySecretBe(name: string): boolean {
  return /key|token|secret|passw|credential/i.test(name);
}

/** Whether a variable by this name holds a secret: not `API_KEY_FILE`, whose value is a path. */
export function isSecret(name: string): boolean {
  return /(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?$/i.test(name);
}

/** The names of an environment; of what is in it nothing. */
export function hideValues(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(env).map((name) => [name, hidden]));
}

/** Whether a text holds an address with a login, of whatever protocol: `postgres://me:password@db`. */
export function hasLogin(text: string): boolean {
  return /:\/\/[^/\s]*@/.test(text);
}

/**
 * An address for people, whether it can be parsed or not: without its login, and without its query, which may be a
 * signature.
 */
export function maskAddress(address: string): string {
  // Not by a pattern: where no "@" follows, it would look for one behind each of a million slashes.
  const start = address.indexOf("//");
  const end = start === -1 ? -1 : address.lastIndexOf("@");
  const shown = end > start ? `${address.slice(0, start)}//…@${address.slice(end + 1)}` : address;
  return shown.replace(/[?#].*$/s, "?…");
}
