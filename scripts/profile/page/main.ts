/** The page of a profile: it reads what the file brings and fills its sections. */
import { kernelColours } from "./colours.ts";
import { byId, element, showTip } from "./dom.ts";
import type { Report } from "./report.ts";
import { State } from "./state.ts";
import { mountChanges } from "./views/changes.ts";
import { mountDetails } from "./views/details.ts";
import { mountFlame } from "./views/flame.ts";
import { mountMemory } from "./views/memory.ts";
import { mountOverview } from "./views/overview.ts";
import { mountRoofline } from "./views/roofline.ts";
import { mountTable } from "./views/table.ts";
import { mountTimeline } from "./views/timeline.ts";

const report: Report = JSON.parse(byId("report").textContent!);
const { profile, compared } = report;
const state = new State(profile);
const colourOf = kernelColours([profile, ...compared ? [compared.before] : []]);

document.title = `${profile.subject.className} — profile`;
mountOverview(byId("overview"), report, state, colourOf);
if (compared) mountChanges(sectionOf("changes"), report, compared, state);
else byId("changes").remove();
mountRoofline(sectionOf("roofline"), report, state, colourOf);
mountTimeline(sectionOf("timeline"), profile, state, colourOf);
mountFlame(sectionOf("flame"), profile, state, colourOf);
mountTable(sectionOf("table"), profile, state);
mountMemory(sectionOf("memory"), profile, state, colourOf);
mountDetails(byId("details"), profile, state);
state.watch(() => showTip());
addEventListener("scroll", () => showTip(), { passive: true });
const filter = byId("filter") as HTMLInputElement;
filter.addEventListener("input", () => state.filter(filter.value));
filter.value = report.only ?? "";
if (filter.value) state.filter(filter.value);
byId("links").append(
  ...[...document.querySelectorAll("section[id] > h2")].map((heading) =>
    element("a", { href: `#${heading.parentElement!.id}` }, heading.textContent!)
  ),
);

/** The box of a section, below its heading. */
function sectionOf(id: string): HTMLElement {
  return byId(id).appendChild(element("div"));
}
