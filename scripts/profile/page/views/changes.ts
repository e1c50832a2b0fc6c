import { type Change, compareProfiles, kernelAtSize } from "../../compare.ts";
import type { ProfileRow, Spread } from "../../form.ts";
import { breakable, choiceOf, element } from "../dom.ts";
import { changeText, percentText } from "../format.ts";
import { type Grouping, groupingsOf } from "../layout/groups.ts";
import type { Report } from "../report.ts";
import type { State } from "../state.ts";

const VERDICTS = ["slower", "unconfirmed", "faster", "new", "gone", "same"] as const;
const FIRST = 40; // lines that are there at once

/** What changed since an earlier profile, by kernel or by module. */
export function mountChanges(
  place: HTMLElement,
  { profile, only }: Report,
  { before, changes: found, tolerance }: NonNullable<Report["compared"]>,
  state: State,
): void {
  let [nameOf, verdict, isWhole]: [(row: ProfileRow) => string, string | undefined, boolean] = [
    kernelAtSize,
    undefined,
    false,
  ];
  const groupings: Grouping[] = [["kernel and size", kernelAtSize], ...groupingsOf(profile)];
  const counts = element("p");
  const body = element("tbody");
  const more = element("button", {
    type: "button",
    click: () => {
      isWhole = true;
      draw();
    },
  });
  const draw = () => {
    const isFound = nameOf === kernelAtSize; // and those that looked slower were measured again
    const changes = isFound ? found : compareProfiles(before, profile, tolerance, only, nameOf);
    const kinds = Map.groupBy(changes, (change) => change.verdict);
    counts.replaceChildren(
      ...VERDICTS.filter((kind) => kinds.has(kind)).flatMap((kind) => [
        element("span", { class: kind }, `${kinds.get(kind)!.length} ${kind}`),
        " · ",
      ]),
      `by more than ${percentText(tolerance)} and than they vary${isFound ? "" : ", measured once"}`,
    );
    const wanted = changes.filter((change) => verdict === undefined || change.verdict === verdict);
    const shown = isWhole ? wanted : wanted.slice(0, FIRST);
    const most = Math.max(...wanted.flatMap(({ before, now }) => [before?.high ?? 0, now?.high ?? 0]), 1e-9);
    const select = ({ name }: Change) =>
      state.select(name, profile.rows.keys().filter((i) => nameOf(profile.rows[i]!) === name));
    body.replaceChildren(...shown.map((change) => lineOf(change, most, () => select(change))));
    more.textContent = `show all ${wanted.length}`;
    more.hidden = shown.length === wanted.length;
  };
  const headings = ["name", "ms before", "ms now", "change", "verdict", ""];
  place.append(
    element(
      "p",
      { class: "choices" },
      choiceOf("by", groupings.map(([name]) => name), (i) => {
        nameOf = groupings[i]![1];
        draw();
      }),
      choiceOf("show", ["all", ...VERDICTS], (i) => {
        verdict = i === 0 ? undefined : VERDICTS[i - 1];
        draw();
      }),
    ),
    counts,
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
    element("p", {}, more),
  );
  draw();
}

function lineOf({ name, before, now, verdict }: Change, most: number, select: () => void): HTMLElement {
  return element(
    "tr",
    { click: select },
    element("td", {}, ...breakable(name)),
    element("td", {}, before?.median.toFixed(3) ?? ""),
    element("td", {}, now?.median.toFixed(3) ?? ""),
    element("td", { class: verdict }, before && now ? changeText(before.median, now.median) : ""),
    element("td", { class: verdict }, verdict),
    element("td", { class: "pair" }, spreadBar(before, most, "before"), spreadBar(now, most, "now")),
  );
}

/** The median as a bar, the quartiles as a line over it. */
function spreadBar(spread: Spread | undefined, most: number, name: string): HTMLElement {
  if (!spread) return element("span", { class: "spread" });
  const { median, low, high } = spread;
  const at = (ms: number) => `${100 * ms / most}%`;
  return element(
    "span",
    { class: `spread ${name}`, title: `${name}: quartiles ${low.toFixed(3)} and ${high.toFixed(3)} ms` },
    element("i", { style: `width: ${at(median)}` }),
    element("b", { style: `left: ${at(low)}; width: ${at(high - low)}` }),
  );
}
