import { figuresOf, fullPath, unitsOf } from "../../figures.ts";
import type { Profile } from "../../form.ts";
import { HOST_COLOURS, inkOn } from "../colours.ts";
import { element, showTip } from "../dom.ts";
import { bytesText, changeText, msText, peakText, percentText } from "../format.ts";
import { type Point, pointsOf } from "../layout/roofline.ts";
import type { Report } from "../report.ts";
import type { State } from "../state.ts";

const LISTED = 6;

/** The head of the page: what binds a step, the figures, and which kernels to look at first. */
export function mountOverview(
  place: HTMLElement,
  { profile, compared }: Report,
  state: State,
  colourOf: (kernel: string) => string,
): void {
  const { subject, adapter } = profile;
  const times = subject.runs === 1 ? "1 run" : `${subject.runs} runs`;
  place.append(
    element("h1", {}, subject.className, " ", element("span", { class: "faint" }, subject.model)),
    element("p", { class: "faint" }, `${subject.work} · ${subject.dtype} · ${subject.steps} steps, ${times}`),
    element("p", { class: "faint" }, adapter.text),
    verdict(profile),
    ...doubt(profile),
    bars(profile, colourOf),
    ...compared ? [comparedBars(profile, compared.before)] : [],
    element(
      "div",
      { class: "columns" },
      firstToLookAt(profile, state, colourOf),
      element("div", {}, element("h3", {}, "Figures"), figures(profile)),
    ),
  );
}

function verdict(profile: Profile): HTMLElement {
  const { bound, unit, wall, gpuPart, hostPart } = figuresOf(profile);
  const advice = {
    "GPU-bound": "shorter kernels make it shorter.",
    "CPU-bound": "less work of the host makes it shorter.",
    "bound by neither alone": "the GPU waits between submissions.",
  }[bound];
  const name = unit === "a run" ? "A run" : "A step";
  return element(
    "p",
    { class: "verdict" },
    element("strong", {}, bound),
    ` ${name} takes ${msText(wall)}; the GPU works ${percentText(Math.min(1, gpuPart))} of it, the host ` +
      `${percentText(hostPart)}: ${advice}`,
  );
}

/** A part of a bar. */
interface Part {
  readonly name: string;
  readonly ms: number;
  readonly colour: string;
}

/** A step's time on the GPU by kernel, and of the host by kind, on one scale. */
function bars(profile: Profile, colourOf: (kernel: string) => string): HTMLElement {
  const { gpu, wall, host } = figuresOf(profile);
  const shares = [...Map.groupBy(profile.rows, ({ kernel }) => kernel)].map(([name, rows]) => ({
    name,
    ms: gpu * rows.reduce((sum, { share }) => sum + share, 0),
    colour: colourOf(name),
  })).sort((a, b) => b.ms - a.ms);
  const most = Math.max(gpu, wall);
  const kinds = host.map(([name, ms]) => ({ name, ms, colour: HOST_COLOURS[name]! }));
  return element(
    "div",
    { class: "bars" },
    bar("GPU", gpu, most, shares),
    legend(shares),
    bar("host", wall, most, kinds),
    legend(kinds.filter(({ ms }) => ms > 0)),
  );
}

function bar(name: string, ms: number, most: number, parts: readonly Part[]): HTMLElement {
  const pieces = parts.filter((part) => part.ms > 0).map((part) => {
    const share = part.ms / most;
    const tip = {
      title: part.name,
      lines: [[name, msText(part.ms)], ["share", percentText(part.ms / ms)]] as const,
    };
    return element("span", {
      style: `width: ${100 * share}%; background: ${part.colour}; color: ${inkOn(part.colour)}`,
      mousemove: (event: MouseEvent) => showTip(tip, event),
      mouseleave: () => showTip(),
    }, share > 0.12 ? part.name : "");
  });
  return element(
    "div",
    { class: "bar" },
    element("span", { class: "name" }, name),
    element("div", { class: "track" }, ...pieces),
    element("span", { class: "number" }, msText(ms)),
  );
}

function legend(parts: readonly Part[]): HTMLElement {
  return element(
    "p",
    { class: "legend" },
    ...parts.map(({ name, ms, colour }) =>
      element("span", {}, element("i", { style: `background: ${colour}` }), `${name} ${msText(ms)}`)
    ),
  );
}

/** A step before and now. */
function comparedBars(profile: Profile, before: Profile): HTMLElement {
  const [now, old] = [figuresOf(profile), figuresOf(before)];
  const most = Math.max(now.wall, old.wall);
  const part = (name: string, ms: number, colour: string) => bar(name, ms, most, [{ name: "", ms, colour }]);
  return element(
    "div",
    { class: "bars" },
    element(
      "h3",
      {},
      `${now.unit === "a run" ? "A run" : "A step"} by the clock: ${changeText(old.wall, now.wall)}`,
    ),
    part("before", old.wall, "var(--faint)"),
    part("now", now.wall, "var(--accent)"),
  );
}

/**
 * A line where kernels reach more than the peak of arithmetic: it was measured while the machine did
 * something else.
 */
function doubt({ rows }: Profile): HTMLElement[] {
  const above = rows.filter(({ roof, ofPeak }) => roof !== "memory" && ofPeak > 1.1);
  if (above.length === 0) return [];
  const text =
    `${above.length} of ${rows.length} rows reach more than the adapter's peak in arithmetic: it was busy while ` +
    "that was measured. Profile again on a quiet machine.";
  return [element("p", { class: "slower" }, text)];
}

function firstToLookAt(profile: Profile, state: State, colourOf: (kernel: string) => string): HTMLElement {
  const points = pointsOf(profile, unitsOf(profile)).sort((a, b) => b.abovePeakMs - a.abovePeakMs).slice(
    0,
    LISTED,
  );
  const most = Math.max(...points.map(({ ms }) => ms), 1e-9);
  return element(
    "div",
    {},
    element("h3", {}, "Kernels to look at first"),
    element(
      "p",
      { class: "faint" },
      "by the time above what they would take at the adapter's peak (the darker part)",
    ),
    element(
      "ol",
      { class: "first" },
      ...points.map((point) =>
        element(
          "li",
          {},
          element(
            "button",
            { type: "button", click: () => state.select(`${point.kernel} ${point.shape}`, point.rows) },
            element(
              "span",
              { class: "line" },
              element("b", {}, point.kernel),
              ` ${point.shape}`,
              element("span", { class: "number" }, `${msText(point.ms)}, ${peakText(point)}`),
            ),
            element("span", { class: "line faint" }, placesOf(profile, point)),
            element(
              "span",
              {
                class: "amount",
                style: `width: ${100 * point.ms / most}%; --colour: ${colourOf(point.kernel)}`,
              },
              element("i", { style: `width: ${100 * point.abovePeakMs / (point.ms || 1)}%` }),
            ),
          ),
        )
      ),
    ),
  );
}

/** Modules of a point: the one that takes longest, and how many others there are. */
function placesOf({ rows }: Profile, point: Point): string {
  const [longest] = point.rows.map((row) => rows[row]!).sort((a, b) => b.totalMs - a.totalMs);
  const others = point.rows.length - 1;
  return `${longest!.path || fullPath(longest!)}${others ? ` and ${others} more` : ""}`;
}

/** The same figures as the text's. */
function figures(profile: Profile): HTMLElement {
  const { step, peaks, pipelines, memory } = profile;
  const { unit, wall, gpu, host, passesCost, dispatchesCost, gap } = figuresOf(profile);
  const cost = (part: number) => part > 0 ? `${percentText(part)} more` : "nothing to be seen";
  const rates = Object.entries(peaks).map(([roof, rate]) =>
    `${roof} ${rate!.toFixed(0)} ${roof === "memory" ? "GB/s" : "GFLOP/s"}`
  );
  const lines: [string, string][] = [
    [
      "step",
      `${step.median.toFixed(2)} ms (median; half of them from ${step.low.toFixed(2)} to ${
        step.high.toFixed(2)
      })`,
    ],
    [unit, `${wall.toFixed(2)} ms, ${gpu.toFixed(2)} of them on the GPU`],
    ["host", `${host.map(([kind, ms]) => `${kind} ${ms.toFixed(2)}`).join(", ")} ms`],
    [
      "profiling",
      `${cost(passesCost)} for timestamps at passes, ${
        cost(dispatchesCost)
      } with a pass for each dispatch; ` +
      `${gap.toFixed(2)} ms ${unit} between these`,
    ],
    ["peaks", rates.join(", ")],
    [
      "warm-up",
      `${pipelines.warmUpMs.toFixed(0)} ms; ${pipelines.count} pipelines took ${
        pipelines.compileMs.toFixed(0)
      } ms to create`,
    ],
    ["memory", `${bytesText(memory.peak)} at most on the device`],
  ];
  return element(
    "dl",
    { class: "figures" },
    ...lines.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
}
