import { type RowSum, sumOf, unitsOf } from "../../figures.ts";
import type { Profile, ProfileRow } from "../../form.ts";
import { breakable, choiceOf, element } from "../dom.ts";
import { percentText } from "../format.ts";
import { groupingsOf } from "../layout/groups.ts";
import type { State } from "../state.ts";

/** A line: some rows as one. */
interface Line extends RowSum {
  readonly name: string;
  readonly rows: readonly number[];
}

/** A column. */
interface Column {
  readonly heading: string;
  readonly value: (line: Line) => string | number;
  readonly text?: (line: Line) => string;
}

const COLUMNS: readonly Column[] = [
  { heading: "name", value: ({ name }) => name },
  { heading: "ms", value: ({ ms }) => ms, text: ({ ms }) => ms.toFixed(ms < 1 ? 3 : 2) },
  { heading: "share", value: ({ share }) => share, text: ({ share }) => percentText(share) },
  { heading: "calls", value: ({ calls }) => calls, text: ({ calls }) => String(Math.round(calls * 10) / 10) },
  { heading: "±", value: ({ variation }) => variation, text: ({ variation }) => percentText(variation) },
  { heading: "GFLOP/s", value: ({ gflops }) => gflops, text: ({ gflops }) => gflops.toFixed(2) },
  { heading: "GB/s", value: ({ gbytes }) => gbytes, text: ({ gbytes }) => gbytes.toFixed(2) },
  {
    heading: "FLOP/B",
    value: ({ intensity = 0 }) => intensity,
    text: ({ intensity }) => intensity?.toFixed(1) ?? "",
  },
  { heading: "of peak", value: ({ ofPeak }) => ofPeak, text: ({ ofPeak }) => percentText(ofPeak) },
  { heading: "binds", value: ({ roof }) => roof },
  {
    heading: "ms above peak",
    value: ({ abovePeakMs }) => abovePeakMs,
    text: ({ abovePeakMs }) => abovePeakMs.toFixed(abovePeakMs < 1 ? 3 : 2),
  },
];

const FIRST = 60; // lines that are there at once

/** All rows, grouped, sorted and filtered. */
export function mountTable(place: HTMLElement, profile: Profile, state: State): void {
  const units = unitsOf(profile);
  const groupings = groupingsOf(profile);
  let [group, column, isRising, isWhole] = [0, 1, false, false];
  const head = element("thead");
  const body = element("tbody", { keydown: moveByKeys });
  const more = element("button", {
    type: "button",
    click: () => {
      isWhole = true;
      draw();
    },
  });
  const draw = () => {
    const lines = linesOf(profile.rows, state.wanted, groupings[group]![1], units);
    const { value } = COLUMNS[column]!;
    lines.sort((a, b) => (isRising ? 1 : -1) * compare(value(a), value(b)));
    const most = Math.max(...lines.map(({ ms }) => ms));
    head.replaceChildren(element("tr", {}, ...COLUMNS.map(({ heading }, i) => headingOf(heading, i))));
    const shown = isWhole ? lines : lines.slice(0, FIRST);
    body.replaceChildren(...shown.map((line, i) => rowOf(line, most, i === 0)));
    more.textContent = `show all ${lines.length}`;
    more.hidden = shown.length === lines.length;
  };
  const headingOf = (heading: string, i: number) => {
    const sorted = i === column ? isRising ? "ascending" : "descending" : "none";
    const sort = () => {
      isRising = i === column ? !isRising : i === 0;
      column = i;
      draw();
      head.querySelectorAll("button")[i]!.focus();
    };
    return element(
      "th",
      { "aria-sort": sorted, scope: "col" },
      element("button", { type: "button", click: sort }, heading),
    );
  };
  const rowOf = (line: Line, most: number, isFirst: boolean) => {
    const isSelected = line.rows.some((row) => state.selected.has(row));
    return element(
      "tr",
      {
        tabindex: isFirst ? 0 : -1,
        "aria-selected": String(isSelected),
        click: () => state.select(line.name, line.rows),
        style: `--part: ${100 * line.ms / (most || 1)}%`,
      },
      element("td", {}, ...breakable(line.name)),
      ...COLUMNS.slice(1).map(({ value, text }) =>
        element("td", {}, text ? text(line) : String(value(line)))
      ),
    );
  };
  place.append(
    element(
      "p",
      {},
      choiceOf("by", groupings.map(([name]) => name), (i) => {
        group = i;
        draw();
      }),
    ),
    element("div", { class: "scroll" }, element("table", {}, head, body)),
    element("p", {}, more),
  );
  state.watch(draw);
}

/** Groups of the rows that the filter lets through, each as one line. */
function linesOf(
  rows: readonly ProfileRow[],
  wanted: readonly boolean[],
  nameOf: (row: ProfileRow) => string,
  units: number,
): Line[] {
  const groups = Map.groupBy([...rows.keys()].filter((i) => wanted[i]), (i) => nameOf(rows[i]!));
  return [...groups].map(([name, indices]) => ({
    ...sumOf(indices.map((i) => rows[i]!), units),
    name,
    rows: indices,
  }));
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Arrows go from line to line, home and end to the first and last, enter selects. */
function moveByKeys(event: KeyboardEvent): void {
  const line = (event.target as HTMLElement).closest("tr")!;
  const next = {
    ArrowDown: line.nextElementSibling,
    ArrowUp: line.previousElementSibling,
    Home: line.parentElement!.firstElementChild,
    End: line.parentElement!.lastElementChild,
  }[event.key];
  if (event.key === "Enter") line.click();
  else if (next) (next as HTMLElement).focus();
  else return;
  event.preventDefault();
}
