import type { Profile } from "../../form.ts";
import { type Canvas, Chart, drawLabel } from "../chart.ts";
import { HOST_COLOURS, inkOn, themeColour } from "../colours.ts";
import { element } from "../dom.ts";
import { msText, peakText, rateText } from "../format.ts";
import { lanesOf, medianStep, type Slice, slicesOf, type Span, spanOf, spansOf } from "../layout/timeline.ts";
import type { State } from "../state.ts";

const LANE = 18; // px
const AXIS = 18;

type Item = Slice | Span;

/** The GPU's and the host's time, with modules nested, on one clock. */
export function mountTimeline(
  place: HTMLElement,
  profile: Profile,
  state: State,
  colourOf: (kernel: string) => string,
): void {
  const slices = slicesOf(profile);
  const spans = spansOf(profile);
  const [lanes, hostLanes] = [lanesOf(slices), lanesOf(spans)];
  const hostY = AXIS + LANE * lanes.length + 14;
  const chart = new Chart<Item>({
    label: "timeline of the GPU and the host; plus and minus zoom, arrows move, 0 shows all",
    height: hostY + LANE * hostLanes.length + 6,
    extent: spanOf([...slices, ...spans]),
    view: medianStep(slices),
    draw: (canvas) => {
      drawAxis(canvas);
      for (const [i, lane] of lanes.entries()) {
        drawLane(canvas, lane, AXIS + LANE * i, (slice) => paintOf(slice, state, colourOf));
      }
      canvas.context.fillStyle = themeColour("faint");
      canvas.context.fillText("host", 4, hostY - 3);
      for (const [i, lane] of hostLanes.entries()) drawLane(canvas, lane, hostY + LANE * i, hostPaint);
    },
    find: (x, y, reach) => {
      const lane = y < hostY
        ? lanes[Math.floor((y - AXIS) / LANE)]
        : hostLanes[Math.floor((y - hostY) / LANE)];
      const near = (lane ?? []).filter(({ start, end }) => start - reach <= x && x <= end + reach);
      return near.find(({ start, end }) => start <= x && x <= end) ?? near[0];
    },
    tip: (item) => tipOf(item, profile),
    choose: (item) => {
      if ("isWork" in item || item.row === undefined) chart.show([item.start, item.end]);
      else state.select(`${item.path} ${item.name}`, [item.row]);
    },
  });
  place.append(
    chart.node,
    element(
      "p",
      { class: "faint" },
      "With a pass for each dispatch. Ctrl or shift with the wheel zooms, a drag moves, a click on a module fills the width " +
        "with it; keys + − ← → 0 do the same. The GPU's clock is not the host's: dispatches stand as early as can be, and " +
        `may be up to ${msText(profile.clockSlackMs)} later.`,
    ),
  );
  state.watch(() => chart.draw());
}

/** How a box is drawn. */
interface Paint {
  readonly name: string;
  readonly colour: string;
  readonly isDim: boolean;
}

function paintOf(slice: Slice, state: State, colourOf: (kernel: string) => string): Paint {
  const { name, row, depth } = slice;
  if (row === undefined) {
    return { name, colour: themeColour(depth % 2 ? "module-odd" : "module-even"), isDim: false };
  }
  return { name, colour: colourOf(name), isDim: !state.isLit(row) };
}

function hostPaint({ name, isWork }: Span): Paint {
  const colour = isWork ? HOST_COLOURS[name]! : themeColour("module-even");
  return { name, colour, isDim: isWork && name === "wait" };
}

/** Boxes of a lane from left to right; those narrower than a pixel are drawn once for each pixel. */
function drawLane<Box extends { start: number; end: number }>(
  { context, x, width }: Canvas,
  boxes: readonly Box[],
  y: number,
  paintOf: (box: Box) => Paint,
): void {
  let drawn = -Infinity;
  for (const box of boxes) {
    const [x0, x1] = [Math.max(0, x(box.start)), Math.min(width, x(box.end))];
    if (x1 < 0 || x0 > width || x1 <= drawn + 0.5) continue;
    const { name, colour, isDim } = paintOf(box);
    context.globalAlpha = isDim ? 0.3 : 1;
    context.fillStyle = colour;
    context.fillRect(x0, y, Math.max(1, x1 - x0 - 0.6), LANE - 1.5);
    drawn = Math.max(x1, x0 + 1);
    if (x1 - x0 < 24) continue;
    context.globalAlpha = 1;
    context.fillStyle = isDim ? themeColour("ink") : inkOn(colour);
    drawLabel(context, name, [x0, x1], y + LANE - 6);
  }
  context.globalAlpha = 1;
}

/** Ticks in ms along the upper edge. */
function drawAxis({ context, x, width, height }: Canvas): void {
  context.font = "11px system-ui, sans-serif";
  const ticks = x.ticks(Math.max(2, width / 110));
  const digits = Math.max(0, -Math.floor(Math.log10((ticks[1] ?? 1) - (ticks[0] ?? 0))));
  for (const tick of ticks) {
    context.fillStyle = themeColour("line");
    context.fillRect(x(tick), 0, 1, height);
    context.fillStyle = themeColour("faint");
    context.fillText(`${tick.toFixed(digits)} ms`, x(tick) + 3, 11);
  }
}

function tipOf(item: Item, { rows }: Profile) {
  const time = ["time", msText(item.end - item.start)] as const;
  if ("isWork" in item) return { title: `host: ${item.name}`, lines: [time] };
  const row = item.row === undefined ? undefined : rows[item.row]!;
  return {
    title: item.name,
    lines: [
      time,
      ...item.path ? [["module", item.path] as const] : [],
      ...row
        ? [
          ["result", row.shape.join("×")],
          ["reached", `${rateText(row.flops / (item.end - item.start) / 1e6)} GFLOP/s`],
          ["in the mean", peakText(row)],
        ] as const
        : [],
    ],
  };
}
