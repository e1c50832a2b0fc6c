/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

type Attribute = string | number | boolean | undefined | ((event: never) => void);

/** An HTML element; functions listen to events. Texts are never read as HTML. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, Attribute>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

/** An SVG element. */
export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, Attribute>> = {},
  ...children: (Node | string)[]
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

function setAttributes(made: Element, attributes: Readonly<Record<string, Attribute>>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value as EventListener);
    else if (value !== undefined && value !== false) {
      made.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/** The element of the page with an id. */
export function byId(id: string): HTMLElement {
  return document.getElementById(id)!;
}

/** Lines of a tip: a heading, then names and values. */
export interface Tip {
  readonly title: string;
  readonly lines: readonly (readonly [string, string])[];
}

/** Shows a tip beside a place of the window; without one it hides it. */
export function showTip(tip?: Tip, at?: { readonly clientX: number; readonly clientY: number }): void {
  const box = byId("tip");
  box.hidden = !tip;
  if (!tip || !at) return;
  box.replaceChildren(
    element("strong", {}, tip.title),
    element(
      "dl",
      {},
      ...tip.lines.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    ),
  );
  const { width, height } = box.getBoundingClientRect();
  const left = at.clientX + 14 + width > innerWidth ? at.clientX - 14 - width : at.clientX + 14;
  const top = at.clientY + 14 + height > innerHeight ? at.clientY - 14 - height : at.clientY + 14;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${Math.max(4, top)}px`;
}

/** A choice among words; `choose` gets the place of the one that is taken. */
export function choiceOf(label: string, words: readonly string[], choose: (i: number) => void): HTMLElement {
  const select = element(
    "select",
    { "aria-label": label, change: () => choose(select.selectedIndex) },
    ...words.map((word) => element("option", {}, word)),
  );
  return element("label", {}, `${label} `, select);
}

/** Calls a function with an element's width once it has one, and whenever that changes. */
export function onWidth(watched: HTMLElement, use: (width: number) => void): void {
  let last = 0;
  new ResizeObserver(() =>
    requestAnimationFrame(() => { // not at once: what is drawn then may change sizes itself
      const width = watched.clientWidth;
      if (width === 0 || width === last) return;
      last = width;
      use(width);
    })
  ).observe(watched);
}

/** A name that may break in front of the names in it, not of numbers. */
export function breakable(name: string): (Node | string)[] {
  return name.split(/(?<=\.)(?!\d)/).flatMap((piece, i) => i ? [element("wbr"), piece] : [piece]);
}
