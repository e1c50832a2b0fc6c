/** The kind of a picture that a ControlNet is told, as `--control-mode N` names it; "none" for ControlNets of one kind. */
export function readMode(text: string): number | undefined {
  if (text === "none") return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw new TypeError(`expected a whole number from 0, or none, got ${text}`);
}
