import type { Spread } from "../../form.ts";
import { choiceOf, element } from "../dom.ts";
import { percentText } from "../format.ts";
import type { Report } from "../report.ts";
import { changeText } from "./overview.ts";

/** What changed since an earlier profile, kernel by kernel. */
export function mountChanges(
  place: HTMLElement,
  { changes, tolerance }: NonNullable<Report["compared"]>,
): void {
  const kinds = ["slower", "faster", "new", "gone", "same"] as const;
  const counts = Map.groupBy(changes, ({ verdict }) => verdict);
  const present = kinds.filter((kind) => counts.has(kind));
  const most = Math.max(
    ...changes.map(({ before, now }) => Math.max(before?.median ?? 0, now?.median ?? 0)),
    1e-9,
  );
  const body = element("tbody");
  const show = (kind: typeof kinds[number] | undefined) => {
    const shown = changes.filter(({ verdict }) => kind === undefined ? verdict !== "same" : verdict === kind);
    body.replaceChildren(...shown.map(({ name, before, now, verdict }) =>
      element(
        "tr",
        {},
        element("td", {}, name),
        element("td", {}, spreadText(before)),
        element("td", {}, spreadText(now)),
        element("td", {}, before && now ? changeText(before.median, now.median) : ""),
        element("td", { class: verdict }, verdict),
        element("td", { class: "pair" }, spreadBar(before, most, "before"), spreadBar(now, most, "now")),
      )
    ));
  };
  const headings = ["kernel [result], where", "ms before", "ms now", "change", "verdict", ""];
  place.append(
    element(
      "p",
      {},
      ...present.flatMap((
        kind,
      ) => [element("span", { class: kind }, `${counts.get(kind)!.length} ${kind}`), " · "]),
      `by more than ${percentText(tolerance)} and than they vary`,
    ),
    element(
      "p",
      {},
      choiceOf("show", ["all that changed", ...present], (i) => show(i === 0 ? undefined : present[i - 1])),
    ),
    element(
      "div",
      { class: "scroll" },
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, ...headings.map((name) => element("th", {}, name)))),
        body,
      ),
    ),
  );
  show(undefined);
}

function spreadText(spread: Spread | undefined): string {
  return spread ? spread.median.toFixed(3) : "";
}

/** The median as a bar, the quartiles as a line over it. */
function spreadBar(spread: Spread | undefined, most: number, name: string): HTMLElement {
  const at = (ms: number) => `${100 * ms / most}%`;
  if (!spread) return element("span", { class: "spread" });
  return element(
    "span",
    { class: `spread ${name}` },
    element("i", { style: `width: ${at(spread.median)}` }),
    element("b", { style: `left: ${at(spread.low)}; width: ${at(spread.high - spread.low)}` }),
  );
}
