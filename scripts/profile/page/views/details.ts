import { fullPath, msOf, sumOf, unitsOf } from "../../figures.ts";
import type { Profile, ProfileRow } from "../../form.ts";
import { type LineWork, memoryShare, operationsShare, totalOf } from "../../lines/work.ts";
import { element } from "../dom.ts";
import { bytesText, flopText, msText, peakText, percentText, rateText } from "../format.ts";
import { isEntry, linesOf } from "../layout/wgsl.ts";
import type { State } from "../state.ts";

type Kernel = Profile["kernels"][number];
type LineCount = NonNullable<Kernel["lines"]>["counts"][number];
type Part = Kernel["parts"][number];

const LISTED = 40; // modules

/** A panel with all about the selected rows: their figures, modules, and the WGSL of their kernels. */
export function mountDetails(panel: HTMLElement, profile: Profile, state: State): void {
  const close = () => state.select("", []);
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && state.selected.size > 0) close();
  });
  let shown: ReadonlySet<number> = new Set();
  state.watch(() => {
    panel.hidden = state.selected.size === 0;
    if (state.selected === shown) return;
    shown = state.selected;
    if (panel.hidden) return panel.replaceChildren();
    const rows = [...shown];
    const texts = [...Map.groupBy(rows, (i) => profile.rows[i]!.text)]
      .map(([text, own]) => ({ text, ms: msOf(own.map((i) => profile.rows[i]!)) / unitsOf(profile) }))
      .sort((a, b) => b.ms - a.ms);
    panel.replaceChildren(
      element(
        "header",
        {},
        element("h2", {}, state.title),
        element("button", { type: "button", "aria-label": "close", click: close }, "✕"),
      ),
      figures(profile, rows),
      modules(profile, rows),
      ...texts.map(({ text, ms }, i) => {
        const place = texts.length > 1 ? `, ${i + 1} of ${texts.length} texts: ${msText(ms)}` : "";
        return kernelOf(profile.kernels[text]!, place, i === 0);
      }),
    );
    panel.scrollTop = 0;
  });
}

function figures(profile: Profile, indices: readonly number[]): HTMLElement {
  const rows = indices.map((i) => profile.rows[i]!);
  const sum = sumOf(rows, unitsOf(profile));
  const alike = (text: (row: ProfileRow) => string) => {
    const all = [...new Set(rows.map(text))];
    return all.length > 3 ? `${all.slice(0, 3).join(" or ")} …` : all.join(" or ");
  };
  const lines: [string, string][] = [
    ["time", `${msText(sum.ms)}, ${percentText(sum.share)}, ± ${percentText(sum.variation)}`],
    ["calls", String(Math.round(sum.calls * 10) / 10)],
    ["reached", `${rateText(sum.gflops)} GFLOP/s, ${rateText(sum.gbytes)} GB/s: ${peakText(sum)}`],
    ["above peak", msText(sum.abovePeakMs)],
    ["a dispatch", alike(({ flops, bytes }) => `${flopText(flops)}, ${bytesText(bytes)}`)],
    ["result", alike(({ shape, dtype }) => `${dtype} [${shape.join(", ")}]`)],
    ["workgroups", alike(({ workgroups }) => workgroups.join(" × "))],
    ["fused", alike(({ fused }) => fused) || "nothing"],
    ["inputs", alike(({ inputs }) => inputs.map(inputText).join("; "))],
  ];
  return element(
    "dl",
    { class: "figures" },
    ...lines.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
}

function inputText({ name, as, dtype, shape }: ProfileRow["inputs"][number]): string {
  return `${as ? `${as} = ` : ""}${name && `${name} `}${dtype} [${shape.join(", ")}]`;
}

function modules(profile: Profile, indices: readonly number[]): HTMLElement {
  const units = unitsOf(profile);
  const rows = indices.map((i) => profile.rows[i]!).sort((a, b) => b.totalMs - a.totalMs);
  const rest = rows.length - LISTED;
  return element(
    "details",
    { open: rows.length <= 8 },
    element("summary", {}, `${rows.length} ${rows.length === 1 ? "module" : "modules"}`),
    element(
      "ul",
      { class: "modules" },
      ...rows.slice(0, LISTED).map((row) =>
        element(
          "li",
          {},
          fullPath(row),
          " ",
          element("span", { class: "number" }, msText(row.totalMs / units)),
        )
      ),
      ...rest > 0 ? [element("li", {}, `and ${rest} more`)] : [],
    ),
  );
}

const REASONS: Readonly<Record<Part["reason"], string>> = {
  listed: "chosen",
  needed: "needed by others",
  written: "written by the host",
};

/** A kernel's text as compiled, its entry and what the host wrote open. */
function kernelOf(
  { name, parts, bindings, workgroup, lines: counted }: Kernel,
  place: string,
  isOpen: boolean,
): HTMLElement {
  const counts = counted?.counts ?? [];
  const total = totalOf(counts);
  return element(
    "details",
    { class: "wgsl", open: isOpen },
    element("summary", {}, element("h3", {}, `${name}, as compiled${place}`)),
    element(
      "p",
      { class: "faint" },
      `workgroup of ${workgroup.join(" × ")}; what the host set or wrote is marked`,
    ),
    element(
      "ul",
      { class: "bindings" },
      ...bindings.map(({ binding, name, use, type }) =>
        element("li", {}, `${binding} ${name}: ${type}, ${use}`)
      ),
    ),
    ...parts.flatMap((part, i) =>
      part.text.trim() ? [partOf(part, counts.filter((count) => count.part === i), total)] : []
    ),
  );
}

/**
 * A part's text; where its lines were counted, with how often each ran and the larger of its shares of the
 * kernel's work.
 */
function partOf(part: Part, counts: readonly LineCount[], total: LineWork): HTMLElement {
  const lines = linesOf(part);
  const isOpen = part.reason === "written" || isEntry(part) || part.set.length > 0;
  return element(
    "details",
    { open: isOpen },
    element(
      "summary",
      {},
      part.name,
      " ",
      element("span", { class: "badge" }, REASONS[part.reason]),
      ...part.set.map((name) => element("span", { class: "badge set" }, name)),
    ),
    element(
      "pre",
      {},
      ...lines.map(({ tokens, isSet }, i) =>
        element(
          "span",
          { class: isSet ? "line set" : "line" },
          ...counts.length ? [gutterOf(counts.find(({ line }) => line === i + 1), total)] : [],
          ...tokens.map(({ kind, text }) => kind === "plain" ? text : element("span", { class: kind }, text)),
          "\n",
        )
      ),
    ),
  );
}

function gutterOf(count: LineCount | undefined, total: LineWork): HTMLElement {
  if (!count) return element("span", { class: "gutter" });
  const shares = [operationsShare(count, total), memoryShare(count, total)] as const;
  const percent = 100 * Math.max(...shares);
  return element(
    "span",
    {
      class: "gutter",
      style: `--part: ${percent}%`,
      title: `${count.flops} FLOP, ${count.others} other operations (${percentText(shares[0])}); ` +
        `${count.loaded} B loaded, ${count.stored} B stored (${percentText(shares[1])})`,
    },
    `×${count.executions}`,
  );
}
