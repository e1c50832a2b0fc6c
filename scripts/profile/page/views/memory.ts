import type { Profile } from "../../form.ts";
import { type Canvas, Chart, drawLabel } from "../chart.ts";
import { inkOn, themeColour } from "../colours.ts";
import { choiceOf, element } from "../dom.ts";
import { bytesText } from "../format.ts";
import { type MemoryMap, memoryMapOf, type MemoryRect, moduleMemory } from "../layout/memory.ts";
import type { State } from "../state.ts";

type Plan = Profile["memory"]["plans"][number];

const TOP = 18; // px, of the modules' names
const MAP = 300; // px, of all arenas
const LIVE = 60; // px, of the bytes that are needed
const LISTED = 14; // modules

/** Where results lie in memory and how long each is needed, and the memory of modules. */
export function mountMemory(
  place: HTMLElement,
  profile: Profile,
  state: State,
  colourOf: (kernel: string) => string,
): void {
  const { plans } = profile.memory;
  if (plans.length === 0) return place.append(element("p", {}, "No plan ran."));
  const box = element("div");
  const show = (i: number) => box.replaceChildren(...planOf(plans[i]!, profile, state, colourOf));
  if (plans.length > 1) {
    place.append(element("p", {}, choiceOf("model", plans.map(({ label }) => label), show)));
  }
  place.append(box);
  show(0);
}

function planOf(
  plan: Plan,
  profile: Profile,
  state: State,
  colourOf: (kernel: string) => string,
): HTMLElement[] {
  const map = memoryMapOf(plan);
  const { rects } = map;
  const most = map.live.reduce((a, b) => Math.max(a, b), 1);
  const toY = (byte: number) => TOP + MAP * byte / map.bytes;
  const chart = new Chart<MemoryRect>({
    label: "results in memory over the dispatches; plus and minus zoom, arrows move, 0 shows all",
    height: TOP + MAP + 8 + LIVE,
    extent: [0, map.length],
    draw: (canvas) => drawMap(canvas, map, toY, most, (rect) => paintOf(rect, profile, state, colourOf)),
    find: (x, y, reach) =>
      rects.findLast(({ x0, x1, y0, y1 }) =>
        x >= Math.min(x0, x1 - reach) && x < x1 && y >= toY(y0) - 1 && y < Math.max(toY(y1), toY(y0) + 2)
      ),
    tip: ({ value: { kernel, path, bytes, arena, offset, first, last } }) => ({
      title: kernel,
      lines: [
        ["module", path],
        ["size", bytesText(bytes)],
        ["place", `arena ${arena}, from byte ${offset}`],
        ["needed", `by dispatches ${first} to ${Math.min(last, map.length)}`],
      ],
    }),
    choose: ({ value: { kernel, path } }) =>
      state.select(`${path} ${kernel}`, rowsOf(profile, plan.label, kernel, path)),
  });
  state.watch(() => chart.draw());
  const at = map.live.indexOf(most);
  const peak = rects.find(({ x0 }) => x0 === at);
  const sum = plan.values.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    element(
      "p",
      { class: "faint" },
      `Arenas take ${bytesText(map.bytes)}; all results one beside the other would take ${bytesText(sum)}. ` +
        `At most ${bytesText(most)} are needed at once, in ${peak?.value.path || "the beginning"}. ` +
        "Across: dispatches; down: bytes of the arenas; below: bytes that are needed.",
    ),
    chart.node,
    moduleBars(plan),
  ];
}

function rowsOf({ rows }: Profile, model: string, kernel: string, path: string): number[] {
  return [...rows.keys()].filter((i) =>
    rows[i]!.model === model && rows[i]!.kernel === kernel && rows[i]!.path === path
  );
}

function paintOf(
  { value }: MemoryRect,
  profile: Profile,
  state: State,
  colourOf: (kernel: string) => string,
) {
  const isAll = state.selected.size === 0 && !state.isFiltered;
  const isLit = isAll ||
    profile.rows.some((row, i) => row.path === value.path && row.kernel === value.kernel && state.isLit(i));
  return { name: value.path, colour: colourOf(value.kernel), isDim: !isLit };
}

function drawMap(
  { context, x, width }: Canvas,
  { rects, bases, modules, live, length }: MemoryMap,
  toY: (byte: number) => number,
  most: number,
  paintOf: (rect: MemoryRect) => { name: string; colour: string; isDim: boolean },
): void {
  context.font = "11px system-ui, sans-serif";
  for (const [i, { name, x0, x1 }] of modules.entries()) {
    const [left, right] = [Math.max(0, x(x0)), Math.min(width, x(x1))];
    context.fillStyle = themeColour(i % 2 ? "module-odd" : "module-even");
    context.fillRect(left, 0, right - left - 0.5, TOP - 2);
    context.fillStyle = themeColour("ink");
    drawLabel(context, name, [left, right], TOP - 7);
  }
  for (const rect of rects) {
    const [left, right] = [Math.max(0, x(rect.x0)), Math.min(width, x(rect.x1))];
    if (right < 0 || left > width) continue;
    const { name, colour, isDim } = paintOf(rect);
    const [top, bottom] = [toY(rect.y0), toY(rect.y1)];
    context.globalAlpha = isDim ? 0.15 : 1;
    context.fillStyle = colour;
    context.fillRect(left, top, Math.max(1, right - left - 0.5), Math.max(1, bottom - top - 0.5));
    if (right - left < 40 || bottom - top < 13) continue;
    context.fillStyle = inkOn(colour);
    drawLabel(context, name, [left, right], top + 11);
  }
  context.globalAlpha = 1;
  context.fillStyle = themeColour("ink");
  for (const base of bases.slice(1)) context.fillRect(0, toY(base) - 0.5, width, 1);
  const floor = TOP + MAP + 8 + LIVE;
  context.fillStyle = themeColour("accent");
  for (let i = 0; i < length; i++) {
    const height = (LIVE - 2) * live[i]! / most;
    context.fillRect(x(i), floor - height, Math.max(1, x(i + 1) - x(i) - 0.3), height);
  }
}

/** Weights and activations of the modules that need most. */
function moduleBars(plan: Plan): HTMLElement {
  const modules = moduleMemory(plan, 2).slice(0, LISTED);
  const most = Math.max(...modules.map(({ weights, peak }) => weights + peak), 1);
  const part = (bytes: number, colour: string) =>
    element("i", { style: `width: ${100 * bytes / most}%; background: var(--${colour})` });
  return element(
    "div",
    { class: "scroll" },
    element(
      "table",
      { class: "modules" },
      element(
        "thead",
        {},
        element("tr", {}, ...["module", "weights", "activations", ""].map((name) => element("th", {}, name))),
      ),
      element(
        "tbody",
        {},
        ...modules.map(({ path, weights, peak }) =>
          element(
            "tr",
            {},
            element("td", {}, path),
            element("td", {}, bytesText(weights)),
            element("td", {}, bytesText(peak)),
            element("td", { class: "stack" }, part(weights, "weights"), part(peak, "accent")),
          )
        ),
      ),
    ),
  );
}
