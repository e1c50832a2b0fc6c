import { byId } from "./dom.ts";
import { paint, pixelsOf } from "./pixels.ts";
import type { FileSettings } from "./request.ts";
import { factsOf } from "./request.ts";

/** Takes files that are chosen as pictures to change, which `isChosen` tells, dropped on the page or pasted into it. */
export function takeFiles(take: (file: File, isChosen: boolean) => Promise<void>): void {
  const field = byId("picture-file", HTMLInputElement);
  field.addEventListener("change", () => takeAll([...field.files ?? []], true));
  const pick = (event: Event, data: DataTransfer | null) => {
    const files = [...data?.files ?? []];
    if (files.length === 0) return;
    event.preventDefault();
    takeAll(files, false);
  };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => pick(event, event.dataTransfer));
  addEventListener("paste", (event) => pick(event, event.clipboardData));

  async function takeAll(files: readonly File[], isChosen: boolean): Promise<void> {
    for (const file of files) await take(file, isChosen);
  }
}

const SHOWN = 256 * 256; // pixels of a picture beside its settings

/** Asks what a picture came for that has its settings with it. */
export async function askWhatFor(
  file: Blob,
  settings: FileSettings,
  takesPictures: boolean,
): Promise<"use" | "change" | "leave"> {
  paint(byId("found-picture", HTMLCanvasElement), await pixelsOf(file, SHOWN));
  byId("found-prompt", HTMLElement).textContent = settings.prompt ?? "";
  byId("found-facts", HTMLElement).textContent = factsOf(settings, settings.size);
  const dialog = byId("found", HTMLDialogElement);
  const { promise, resolve } = Promise.withResolvers<"use" | "change" | "leave">();
  const asked = new AbortController();
  const { signal } = asked;
  for (const wish of ["use", "change", "leave"] as const) {
    byId(`found-${wish}`, HTMLButtonElement).addEventListener("click", () => resolve(wish), { signal });
  }
  dialog.addEventListener("cancel", () => resolve("leave"), { signal });
  byId("found-change", HTMLElement).hidden = !takesPictures;
  if (!dialog.open) dialog.showModal();
  const wish = await promise;
  asked.abort();
  dialog.close();
  return wish;
}
