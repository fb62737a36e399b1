/**
 * Parses the time at the head of a line: `minutes.seconds.milliseconds.microseconds`.
 * @returns milliseconds since the server was started; undefined for other lines, and for builds that write no time by
 *   default (b7698).
 * @see llama.cpp common/log.cpp
 */
export function parseLogTime(line: string): number | undefined {
  const match = /^(\d{1,9})\.([0-5]\d)\.(\d{3})\.(\d{3}) /.exec(line);
  if (match === null) return undefined;
  const [, minutes, seconds, milliseconds, microseconds] = match.map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return minutes * 60_000 + seconds * 1000 + milliseconds + microseconds / 1000;
}
