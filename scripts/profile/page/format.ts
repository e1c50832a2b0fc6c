/** Numbers as the page shows them. */

/** Milliseconds with three digits, in µs where they are few. */
export function msText(ms: number): string {
  if (ms !== 0 && Math.abs(ms) < 0.1) return `${(1000 * ms).toPrecision(3)} µs`;
  return `${Math.abs(ms) >= 100 ? ms.toFixed(0) : ms.toPrecision(3)} ms`;
}

/** Bytes in the unit that leaves one to three digits in front of the point. */
export function bytesText(bytes: number): string {
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power ? 1 : 0)} ${["B", "kB", "MB", "GB"][power]}`;
}

/** Operations with their prefix. */
export function flopText(flop: number): string {
  const power = Math.min(4, Math.floor(Math.log10(Math.max(1, flop)) / 3));
  return `${(flop / 1000 ** power).toFixed(power ? 1 : 0)} ${["", "k", "M", "G", "T"][power]}FLOP`;
}

/** A part as percents. */
export function percentText(part: number): string {
  return `${(100 * part).toFixed(1)}%`;
}

/** A rate with three digits. */
export function rateText(rate: number): string {
  return rate >= 1000 ? rate.toFixed(0) : rate.toPrecision(3);
}

/** What of its peak something reaches, e.g. "36.1% of f32". */
export function peakText({ ofPeak, roof }: { readonly ofPeak: number; readonly roof: string }): string {
  return `${percentText(ofPeak)} of ${roof}`;
}

/** A change in percents with its sign. */
export function changeText(before: number, now: number): string {
  const change = now / before - 1;
  return `${change > 0 ? "+" : "−"}${percentText(Math.abs(change))}`;
}
