import { unitsOf } from "../../figures.ts";
import type { Profile } from "../../form.ts";
import { inkOn } from "../colours.ts";
import { element, onWidth, showTip } from "../dom.ts";
import { msText, percentText } from "../format.ts";
import { flameOf, type FlameRect } from "../layout/flame.ts";
import type { State } from "../state.ts";

const LANE = 20; // px
const NARROWEST = 1.2; // px

/** Time by module; a click on one fills the width with it. */
export function mountFlame(
  place: HTMLElement,
  profile: Profile,
  state: State,
  colourOf: (kernel: string) => string,
): void {
  const rects = flameOf(profile.rows, unitsOf(profile));
  const whole = rects[0]!;
  const depth = Math.max(...new Set(rects.map((rect) => rect.depth))) + 1;
  const path = element("p", { class: "path", "aria-live": "polite" });
  const box = element("div", { class: "flame", style: `height: ${depth * LANE}px` });
  place.append(path, box);
  let [focus, width] = [whole, 0];

  const zoomTo = (rect: FlameRect) => {
    focus = rect;
    draw();
  };
  const choose = (rect: FlameRect) => {
    const { node } = rect;
    if (node.kernel !== undefined) state.select(`${node.path} ${node.name}`, node.rows);
    else zoomTo(rect);
  };
  const draw = () => {
    const scale = width / (focus.x1 - focus.x0);
    const above = rects.filter(({ x0, x1, depth }) =>
      x0 <= focus.x0 && x1 >= focus.x1 && depth < focus.depth
    );
    const crumb = (rect: FlameRect) =>
      element("button", { type: "button", click: () => zoomTo(rect) }, rect.node.name);
    path.replaceChildren(
      ...above.map(crumb),
      element(
        "span",
        {},
        `${focus.node.name}: ${msText(focus.ms)}, ${percentText(focus.ms / (whole.ms || 1))}`,
      ),
    );
    const isShown = ({ x0, x1, depth }: FlameRect) =>
      x1 > focus.x0 && x0 < focus.x1 && (depth < focus.depth || (x1 - x0) * scale >= NARROWEST);
    box.replaceChildren(
      ...rects.filter(isShown).map((rect) => {
        const { node, depth, x0, x1, ms } = rect;
        const left = Math.max(0, (x0 - focus.x0) * scale);
        const right = Math.min(width, (x1 - focus.x0) * scale);
        const isLit = node.rows.some((row) => state.isLit(row));
        const colour = node.kernel === undefined ? undefined : colourOf(node.kernel);
        const fill = colour ? `background: ${colour}; color: ${inkOn(colour)}; ` : "";
        const lines = [
          ["time", `${msText(ms)} (${percentText(ms / (whole.ms || 1))})`],
          ...node.path ? [["module", node.path] as const] : [],
        ] as const;
        return element("button", {
          type: "button",
          tabindex: -1,
          class: `${colour ? "kernel" : depth % 2 ? "odd" : "even"}${isLit ? "" : " dim"}`,
          style: `${fill}left: ${left}px; top: ${depth * LANE}px; width: ${Math.max(1, right - left - 1)}px`,
          click: () => choose(rect),
          mousemove: (event: MouseEvent) => showTip({ title: node.name, lines }, event),
          mouseleave: () => showTip(),
        }, right - left > 28 ? node.name : "");
      }),
    );
  };
  onWidth(place, (now) => {
    width = now;
    draw();
  });
  state.watch(() => {
    if (width) draw();
  });
}
