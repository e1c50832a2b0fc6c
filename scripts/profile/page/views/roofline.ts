// @ts-types="@types/d3"
import * as d3 from "d3";
import { unitsOf } from "../../figures.ts";
import { element, onWidth, showTip, svg } from "../dom.ts";
import { msText, peakText, percentText, rateText } from "../format.ts";
import { decadesAround, type Point, pointsOf, type Roof, roofsOf } from "../layout/roofline.ts";
import type { Report } from "../report.ts";
import type { State } from "../state.ts";

const FRAME = { left: 48, right: 20, top: 24, bottom: 40 };
const LARGEST = 24; // px, the radius of the point that takes longest, on a wide page

type Scale = d3.ScaleLogarithmic<number, number>;

/** The scales of a chart, and the radius of its points. */
interface Frame {
  readonly x: Scale;
  readonly y: Scale;
  readonly width: number;
  readonly height: number;
  readonly radius: (point: Point) => number;
}

/** A point for each kernel at each size, as large as its time, below the adapter's peaks. */
export function mountRoofline(
  place: HTMLElement,
  { profile, compared }: Report,
  state: State,
  colourOf: (kernel: string) => string,
): void {
  const all = pointsOf(profile, unitsOf(profile));
  const points = all.filter(({ intensity, gflops }) => intensity > 0 && gflops > 0);
  const old = compared ? pointsOf(compared.before, unitsOf(compared.before)) : [];
  const before = new Map(old.filter(({ gflops }) => gflops > 0).map((point) => [point.key, point]));
  const now = new Map(points.map((point) => [point.key, point]));
  const shown = [...points, ...before.values()];
  const chart = svg("svg", { role: "img", "aria-label": "roofline: GFLOP/s over FLOP a byte" });
  const others = all.filter((point) => !points.includes(point));
  const othersMs = others.reduce((sum, { ms }) => sum + ms, 0);
  place.append(
    chart,
    element(
      "p",
      { class: "faint" },
      "A point is a kernel at a size, as large as the time that it takes; the lines are what the adapter reached. " +
        (compared ? "Rings are from before. " : "") +
        (others.length ? `Not shown: ${others.length} without arithmetic, ${msText(othersMs)}.` : ""),
    ),
  );
  let width = 0;
  const draw = () => {
    if (width === 0 || shown.length === 0) return;
    const { memory: _, ...arithmetic } = profile.peaks;
    const rates = [...shown.map(({ gflops }) => gflops), ...Object.values(arithmetic)].filter((rate) =>
      rate !== undefined
    );
    const height = Math.max(300, Math.min(460, width * 0.6));
    const domain = decadesAround(shown.map(({ intensity }) => intensity));
    const range = decadesAround(rates);
    const most = Math.max(...shown.map(({ ms }) => ms));
    const frame: Frame = {
      x: d3.scaleLog(domain, [FRAME.left, width - FRAME.right]),
      y: d3.scaleLog(range, [height - FRAME.bottom, FRAME.top]),
      width,
      height,
      radius: ({ ms }) => Math.max(2.5, Math.min(LARGEST, width / 30) * Math.sqrt(ms / most)),
    };
    const roofs = roofsOf(profile.peaks, domain, range[0]);
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.setAttribute("height", String(height));
    chart.replaceChildren(
      axes(frame),
      ...roofs.map((roof) => roofLine(roof, frame)),
      ...before.values().flatMap((point) =>
        earlier(point, now.get(point.key), frame, colourOf(point.kernel))
      ),
      ...points.map((point) => {
        const isLit = point.rows.some((row) => state.isLit(row));
        return svg("circle", {
          ...placeOf(point, frame),
          class: isLit ? "dot" : "dot dim",
          fill: colourOf(point.kernel),
          mousemove: (event: MouseEvent) => showTip(tipOf(point, before.get(point.key)), event),
          mouseleave: () => showTip(),
          click: () => state.select(`${point.kernel} ${point.shape}`, point.rows),
        });
      }),
      ...roofs.map((roof) => roofLabel(roof, frame)),
    );
  };
  onWidth(place, (now) => {
    width = now;
    draw();
  });
  state.watch(draw);
}

function axes({ x, y, width, height }: Frame): SVGElement {
  const decades = (scale: Scale) =>
    d3.range(...scale.domain().map((end, i) => Math.round(Math.log10(end)) + i) as [number, number])
      .map((power) => 10 ** power);
  const text = (tick: number) => String(Number(tick.toPrecision(3)));
  return svg(
    "g",
    { class: "axis" },
    ...decades(x).flatMap((tick) => [
      svg("line", { x1: x(tick), x2: x(tick), y1: FRAME.top, y2: height - FRAME.bottom }),
      svg("text", { x: x(tick), y: height - FRAME.bottom + 15, "text-anchor": "middle" }, text(tick)),
    ]),
    ...decades(y).flatMap((tick) => [
      svg("line", { x1: FRAME.left, x2: width - FRAME.right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: FRAME.left - 6, y: y(tick) + 4, "text-anchor": "end" }, text(tick)),
    ]),
    svg("text", { x: width - FRAME.right, y: height - 6, "text-anchor": "end" }, "FLOP a byte"),
    svg("text", { x: 0, y: FRAME.top - 12 }, "GFLOP/s"),
  );
}

function roofLine({ from, to }: Roof, { x, y }: Frame): SVGElement {
  return svg("line", { class: "roof", x1: x(from[0]), y1: y(from[1]), x2: x(to[0]), y2: y(to[1]) });
}

/** The name of a roof above its line: of a flat one at the right, else along the line. */
function roofLabel({ name, from, to }: Roof, { x, y }: Frame): SVGElement {
  const [x1, y1, x2, y2] = [x(from[0]), y(from[1]), x(to[0]), y(to[1])];
  const isFlat = from[1] === to[1];
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const [left, top] = [x1 + 14 * Math.cos(angle), y1 + 14 * Math.sin(angle)];
  return svg("text", {
    class: "roof",
    transform: isFlat
      ? `translate(${x2 - 4} ${y1 - 5})`
      : `translate(${left} ${top}) rotate(${180 / Math.PI * angle}) translate(0 -5)`,
    "text-anchor": isFlat ? "end" : "start",
  }, name);
}

function placeOf(point: Point, { x, y, radius }: Frame) {
  return { cx: x(point.intensity), cy: y(point.gflops), r: radius(point) };
}

/** A ring where a point was before, and a line to where it is now, if it still is. */
function earlier(before: Point, now: Point | undefined, frame: Frame, colour: string): SVGElement[] {
  const [from, to] = [placeOf(before, frame), now && placeOf(now, frame)];
  return [
    ...to ? [svg("line", { class: "moved", x1: from.cx, y1: from.cy, x2: to.cx, y2: to.cy })] : [],
    svg("circle", { ...from, class: "ring", stroke: colour }),
  ];
}

function tipOf(point: Point, before: Point | undefined) {
  return {
    title: `${point.kernel} ${point.shape}`,
    lines: [
      ["time", `${msText(point.ms)} (${percentText(point.share)})`],
      ...before ? [["before", msText(before.ms)] as const] : [],
      ["modules", String(point.rows.length)],
      ["reached", `${rateText(point.gflops)} GFLOP/s, ${rateText(point.gbytes)} GB/s`],
      ["FLOP a byte", rateText(point.intensity)],
      ["that is", peakText(point)],
    ] as const,
  };
}
