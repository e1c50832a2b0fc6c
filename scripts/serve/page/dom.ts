/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

/** Width in pixels below which pictures are enlarged without being blurred. */
export const SMALL = 256;

/** The element of the page with an id, which is of a class. */
export function byId<Class extends HTMLElement>(id: string, type: new () => Class): Class {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`Cannot find #${id}: expected a ${type.name}, got ${found?.tagName ?? "none"}`);
}

/** A copy of what a template holds. */
export function copyOf(template: string): HTMLElement {
  const { content } = byId(template, HTMLTemplateElement);
  return content.firstElementChild!.cloneNode(true) as HTMLElement;
}

/** The part of an element that a selector names. */
export function partOf<Part extends HTMLElement>(whole: Element, selector: string): Part {
  return whole.querySelector<Part>(selector)!;
}

/** Fills a choice: each of `groups` has a heading, or "" for none, and pairs of a value and a text. */
export function fillChoice(
  select: HTMLSelectElement,
  groups:
    readonly (readonly [heading: string, choices: readonly (readonly [value: string, text: string])[]])[],
): void {
  const options = groups.flatMap(([heading, choices]) => {
    const made = choices.map(([value, text]) => new Option(text, value));
    if (heading === "") return made;
    const group = document.createElement("optgroup");
    group.label = heading;
    group.append(...made);
    return made.length > 0 ? [group] : [];
  });
  select.replaceChildren(...options);
}
