/** Shown in place of a value that only the server may see. */
export const hidden = "(hidden)";

/** Whether a variable of this name may hold a secret. For hiding values: one too many does no harm. */
export function maySecretBe(name: string): boolean {
  return /key|token|secret|passw|credential/i.test(name);
}

/** Whether a variable of this name holds a secret. `API_KEY_FILE` does not: its value is a path. */
export function isSecret(name: string): boolean {
  return /(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?$/i.test(name);
}

/** An environment with all values hidden. */
export function hideValues(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(env).map((name) => [name, hidden]));
}

/** Whether a text holds an address with a login, of any protocol: `postgres://me:password@db`. */
export function hasLogin(text: string): boolean {
  return /:\/\/[^/\s]*@/.test(text);
}

/** An address for people, valid or not: without its login, and without its query, which may hold a signature. */
export function maskAddress(address: string): string {
  // Without a regular expression: on a million slashes with no "@" behind them it would take quadratic time.
  const start = address.indexOf("//");
  const end = start === -1 ? -1 : address.lastIndexOf("@");
  const shown = end > start ? `${address.slice(0, start)}//…@${address.slice(end + 1)}` : address;
  return shown.replace(/[?#].*$/s, "?…");
}
